"""The languages that every service knows by name."""

from __future__ import annotations

from collections.abc import Mapping

LANGUAGE_NAMES: Mapping[str, str] = {
    "zh": "Chinese",
    "en": "English",
    "ja": "Japanese",
    "ko": "Korean",
    "de": "German",
    "fr": "French",
    "ru": "Russian",
    "pt": "Portuguese",
    "es": "Spanish",
    "it": "Italian",
}
"""English names by primary language tag."""


def primary_tag(language: str) -> str:
    """Return the primary tag of a name or BCP 47 tag; what is unknown comes back in lower case."""
    asked = language.strip().lower()
    for tag, name in LANGUAGE_NAMES.items():
        if asked == name.lower():
            return tag
    return asked.split("-")[0].split("_")[0]
