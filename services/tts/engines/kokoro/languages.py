"""Kokoro's languages, and what the names of its voices say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from services.contract.speech import Voice


@dataclass(frozen=True)
class Language:
    """A language of Kokoro's."""

    tag: str
    name: str
    espeak: str
    """What the phonemizer calls it."""


LANGUAGES: Mapping[str, Language] = {
    "a": Language("en-US", "English", "en-us"),
    "b": Language("en-GB", "English", "en-gb"),
    "e": Language("es", "Spanish", "es"),
    "f": Language("fr", "French", "fr-fr"),
    "h": Language("hi", "Hindi", "hi"),
    "i": Language("it", "Italian", "it"),
    "j": Language("ja", "Japanese", "ja"),
    "p": Language("pt-BR", "Portuguese", "pt-br"),
    "z": Language("zh", "Chinese", "cmn"),
}
"""By the first letter of the voices that speak them."""

LANGUAGE_NAMES: Mapping[str, str] = {language.tag: language.name for language in LANGUAGES.values()}
"""English names by tag."""

_GENDERS: Mapping[str, Literal["female", "male"]] = {"f": "female", "m": "male"}
_BEST = ("af_heart", "bf_emma")
"""The voices that were trained on the most and the cleanest speech."""


def language_of(voice: str) -> Language:
    """Return the language of a voice: the first letter says it."""
    return LANGUAGES[voice[0]]


def voice_of(name: str) -> Voice:
    """Return what the name of a voice says about it: af_heart is an American woman called Heart."""
    return Voice(name=name, language=language_of(name).tag, gender=_GENDERS.get(name[1:2], "neutral"))


def in_order(names: Iterable[str]) -> list[str]:
    """Return the names of voices whose language is known, the best first, then by language."""
    return sorted((name for name in names if name[:1] in LANGUAGES), key=lambda name: (name not in _BEST, name))
