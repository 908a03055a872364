"""The tts service's routes."""
