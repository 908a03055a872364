"""Talking while the text is still being written."""
