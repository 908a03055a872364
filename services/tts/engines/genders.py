"""Voices that are asked for by their gender alone."""

from __future__ import annotations

from collections.abc import Sequence

from services.contract.speech import Voice


def by_gender(voices: Sequence[Voice], gender: str, default: str, language: str = "") -> tuple[str, list[str]]:
    """Return the name of the first voice of that gender, of those that speak `language` best if there are any.

    Where there is none, `default` speaks, and it is told. Voices of all languages are chosen without one:
    of the sentences of a text, only some name theirs.
    """
    fitting = [voice for voice in voices if voice.gender == gender.strip().lower()]
    if not fitting:
        return default, [f"voice: none is known to be {gender} here; {default or 'the usual one'} speaks."]
    return min(fitting, key=lambda voice: voice.language != language).name, []
