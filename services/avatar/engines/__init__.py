"""Lip-sync engines, one module or package each."""
