"""Finds the landmarks of the one face in a picture."""
