"""Draws the people Talkie ships. The drawings are dedicated to the public domain (CC0-1.0)."""
