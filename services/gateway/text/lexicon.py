"""The words that tell an emotion, and those that turn, raise or lower it; one file of `emotions/` a language."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

EmotionName = Literal["neutral", "joy", "sadness", "anger", "fear", "surprise", "disgust"]

LANGUAGES = ("en", "ko", "ja", "zh", "ru")
"""Languages with words of their own; the others have only the signs of `any.txt`."""

_SPACED = ("en", "ru")
"""Languages whose words are found whole; in the others letters stand together without a gap."""

_FOLDER = Path(__file__).parent / "emotions"
_WEAK = 0.5
_RAISED, _LOWERED = 1.5, 0.75
_CLAUSE = re.compile(r"[.,;:!?。、，！？；：\n]")
_WINDOW_BEFORE = {True: 24, False: 4}
"""Characters in which a negation or intensifier is looked for, with and without spaces between words."""
_WINDOW_AFTER = 8
_WORDS_BEFORE = 3

Tables = dict[str, list[str]]


@dataclass(frozen=True)
class Cue:
    """One word that tells an emotion."""

    emotion: EmotionName
    weight: float
    negated: bool


class Lexicon:
    """The cues of one language."""

    def __init__(self, language: str) -> None:
        """Read the language's file, and the signs that all share."""
        signs, words = _read("any"), _read(language) if language in LANGUAGES else {}
        self._spaced = language in _SPACED
        self._emotions = dict(_entries(signs)) | dict(_entries(words))
        self._cue = re.compile(_pattern(words, signs, spaced=self._spaced))
        self._negated_before, self._negated_after, self._raised, self._lowered, self._kept = (
            self._words(words.get(name, []))
            for name in ("negations before", "negations after", "intensifiers", "diminishers", "no negations")
        )

    def cues(self, text: str) -> Iterator[Cue]:
        """Yield the cues of `text` in order."""
        text = folded(text)
        for match in self._cue.finditer(text):
            emotion, weight = self._emotions[match[match.lastindex or 0]]
            before, after = self._around(text, match)
            if self._lowered.search(before):
                weight *= _LOWERED
            elif self._raised.search(before):
                weight *= _RAISED
            kept = self._kept.sub("", before)
            negated = self._negated_before.search(kept) or self._negated_after.search(after)
            yield Cue(emotion, weight, negated is not None)

    def _around(self, text: str, match: re.Match[str]) -> tuple[str, str]:
        """Return the text of the same clause right before and right after."""
        start = match.start()
        before = _CLAUSE.split(text[max(0, start - _WINDOW_BEFORE[self._spaced]) : start])[-1]
        if self._spaced:
            before = " ".join(before.split()[-_WORDS_BEFORE:])
        return before, _CLAUSE.split(text[match.end() : match.end() + _WINDOW_AFTER])[0]

    def _words(self, words: Iterable[str]) -> re.Pattern[str]:
        pattern = _any_of(words)
        return re.compile(rf"(?<!\w)(?:{pattern})(?!\w)" if self._spaced else pattern)


@functools.lru_cache(64)
def lexicon_of(code: str) -> Lexicon:
    """Return the lexicon of a language's two letters."""
    return Lexicon(code)


def folded(text: str) -> str:
    """Return `text` as the lexicons are written: small letters, one form of each."""
    return unicodedata.normalize("NFC", text).casefold().replace("ё", "е").replace("’", "'")


def _read(name: str) -> Tables:
    tables: Tables = {}
    for line in (_FOLDER / f"{name}.txt").read_text("utf-8").splitlines():
        if line.startswith("["):
            table = tables.setdefault(line.strip("[]"), [])
        elif not line.startswith("# "):
            entries = line.split(" " if name == "any" else ",")
            table.extend(folded(entry.removeprefix(" ")) for entry in entries if entry.strip())
    return tables


def _entries(tables: Tables) -> Iterator[tuple[str, tuple[EmotionName, float]]]:
    """Yield each entry with its emotion and weight, the weak ones first, so that strong ones win."""
    for table in sorted(tables, key=lambda name: not name.endswith(" weak")):
        emotion = table.removesuffix(" weak")
        if _is_emotion(table):
            for entry in tables[table]:
                yield entry.removesuffix("-"), (cast("EmotionName", emotion), 1.0 if emotion == table else _WEAK)


def _pattern(words: Tables, signs: Tables, *, spaced: bool) -> str:
    """Return a pattern with one group for each way an entry may stand."""
    entries = [entry for table, entries in words.items() if _is_emotion(table) for entry in entries]
    pictures = f"({_any_of(entry for entries in signs.values() for entry in entries)})"
    if not spaced:
        return f"({_any_of(entries)})|{pictures}"
    whole = _any_of(entry for entry in entries if not entry.endswith("-"))
    stems = _any_of(entry.removesuffix("-") for entry in entries if entry.endswith("-"))
    return rf"(?<!\w)(?:({whole})(?!\w)|({stems})\w*)|{pictures}"


def _is_emotion(table: str) -> bool:
    return table.split()[0] in get_args(EmotionName)


def _any_of(words: Iterable[str]) -> str:
    return "|".join(re.escape(word) for word in sorted(set(words), key=len, reverse=True)) or "(?!)"
