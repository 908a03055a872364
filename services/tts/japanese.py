"""Japanese as it is pronounced: kanji, numbers and particles become katakana, which espeak-ng can read."""

from __future__ import annotations

import re

from sudachipy import Dictionary, Morpheme, SplitMode

from services.tts.japanese_numbers import number_of, number_reading

_O_ROW, _E_ROW = "オコソトノホモヨロゴゾドボポョォ", "エケセテネヘメレゲゼデベペェ"
_LONG_O, _LONG_E = re.compile(f"(?<=[{_O_ROW}])[ウオ]"), re.compile(f"(?<=[{_E_ROW}])[イエ]")
_PARTICLES = {"は": "ワ", "へ": "エ", "を": "オ"}
_EVERYDAY_READINGS = {"私": "ワタシ"}
_ATTACHED = ("助詞", "助動詞", "接尾辞", "補助記号")
"""Parts of speech that are spoken in one breath with the word before them."""


class JapaneseReader:
    """Reads Japanese with Sudachi's small dictionary."""

    def __init__(self) -> None:
        """Open the dictionary."""
        self._dictionary = Dictionary(dict="small")

    def pronounced(self, text: str) -> str:
        """Return `text` in katakana as it is pronounced, with a space between phrases."""
        words = list(self._dictionary.tokenizer(SplitMode.C).tokenize(text))
        spoken = ""
        attached = True
        while words:
            word = words.pop(0)
            reading = _counted(word, words)
            attached = attached or word.part_of_speech()[0] in _ATTACHED
            spoken += ("" if attached else " ") + (reading or _pronounced(word))
            attached = reading is not None  # what follows a number is its counter
        return spoken


def _counted(word: Morpheme, following: list[Morpheme]) -> str | None:
    """Return the reading of a number with its counter, which is then taken off `following`."""
    if word.part_of_speech()[1] != "数詞":
        return None
    number = number_of(word.surface())
    if number is None:
        return None
    reading = number_reading(number, following[0].surface()) if following else None
    if reading is None:
        return number_reading(number)
    following.pop(0)
    return reading


def _pronounced(word: Morpheme) -> str:
    surface, kind = word.surface(), word.part_of_speech()[0]
    reading = _EVERYDAY_READINGS.get(surface) or word.reading_form() or surface
    if kind == "助詞" and surface in _PARTICLES:
        return _PARTICLES[surface]
    if kind in ("助詞", "感動詞", "接続詞") and surface.endswith("は"):
        return reading[:-1] + "ワ"
    # The ウ that ends a verb stays a vowel of its own.
    last = "ウ" if kind == "動詞" and reading.endswith("ウ") else ""
    stem = reading[: len(reading) - len(last)]
    return _LONG_E.sub("ー", _LONG_O.sub("ー", stem)) + last
