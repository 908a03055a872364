"""The tts service: text in, speech as it is spoken out."""
