"""Talkie: text in, a talking person out."""
