"""Makes text fit to be spoken: no control characters, no emoji, and something left to say."""

from __future__ import annotations

import re
import unicodedata

from services.chassis.detect import count_scripts
from services.contract.errors import InvalidRequest

_FIRST_PICTOGRAPH = "\u2190"
"""Symbols from here on (arrows, dingbats, emoji) are pictures; those before, such as ©, ° and №, are read aloud."""

_SPACE = re.compile(r"\s+")
_EAST_ASIAN = ("zh", "yue", "hak", "ja", "ko")


def speakable(text: str) -> str:
    """Return `text` without what cannot be spoken; raise `InvalidRequest` when nothing is left."""
    text = unicodedata.normalize("NFC", text)
    text = _SPACE.sub(" ", "".join(_heard(character) for character in text)).strip()
    if not any(unicodedata.category(character)[0] in "LN" for character in text):
        raise InvalidRequest("text: there is nothing to speak in it; send words or numbers.", param="text")
    return text


def check_script(text: str, language: str) -> None:
    """Raise `InvalidRequest` when most of `text` is East Asian writing that `language` would only spell out."""
    letters = sum(character.isalpha() for character in text)
    if language.split("-")[0] not in _EAST_ASIAN and 2 * sum(count_scripts(text).values()) > letters:
        raise InvalidRequest(
            f"language: {language} cannot read this text's writing; use the language it is written in, or Auto.",
            param="language",
        )


def _heard(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cf":
        return character  # joiners shape words in Persian and the Indic scripts
    pictograph = category in ("So", "Sk") and character >= _FIRST_PICTOGRAPH
    return " " if pictograph or category[0] == "C" else character
