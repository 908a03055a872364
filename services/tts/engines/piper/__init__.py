"""The Piper engine: one small model for each voice, in dozens of languages.

piper-tts is licensed under the GPL-3.0: it runs in the engine's own process, and is an extra to be installed.
"""
