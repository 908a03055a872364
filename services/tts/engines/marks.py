"""Marks of phonemes and words, from the letters that a model times one by one."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby
from typing import Literal

from services.contract.speech import Mark

TimedLetter = tuple[str, float, float]
"""A letter of a phoneme string, and when it is heard: start and end in seconds."""

_STRESS = "ˈˌ"
_BREAK = re.compile(r"[.,!?;:…—।，、。！？：；]+")
_AROUND_WORDS = "\"'()[]{}«»“”„‘’¿¡"
_SHORTEST_PAUSE_S = 0.06
"""Quotation marks and the like are timed too; what is shorter than this nobody hears as a pause."""

_Kind = Literal["stress", "letter", "modifier", "space", "pause"]


@dataclass(frozen=True)
class _Span:
    """A phoneme with its word's number, or a pause."""

    text: str
    start_s: float
    end_s: float
    word: int = -1


class LetterMarks:
    """Makes the marks of one utterance, piece by piece; `words` are what its spoken words are written as."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words
        self._word = -1

    def marks(self, letters: Iterable[TimedLetter]) -> list[Mark]:
        """Return the marks of the next letters, in order; a word ends with them at the latest."""
        spans = _without_short_pauses(self._spans(letters))
        marks = [Mark(kind="phoneme", text=span.text, start_s=span.start_s, end_s=span.end_s) for span in spans]
        for word, parts in groupby((span for span in spans if span.text), key=lambda span: span.word):
            first, *rest = parts
            written = self._words[word] if word < len(self._words) else ""
            if written:
                marks.append(Mark(kind="word", text=written, start_s=first.start_s, end_s=[first, *rest][-1].end_s))
        return sorted(marks, key=lambda mark: mark.start_s)

    def _spans(self, letters: Iterable[TimedLetter]) -> list[_Span]:
        spans: list[_Span] = []
        stress, stress_s = "", 0.0
        word_over = True
        for letter, start_s, end_s in letters:
            kind = _kind(letter)
            if kind == "stress":
                stress, stress_s = stress + letter, stress_s if stress else start_s
            elif kind == "letter":
                self._word += word_over
                spans.append(_Span(stress + letter, stress_s if stress else start_s, end_s, self._word))
                stress, word_over = "", False
            elif kind == "pause":
                spans.append(_Span("", start_s, end_s))
                word_over = True
            else:
                word_over = word_over or kind == "space"
                if spans:
                    added = letter if kind == "modifier" and spans[-1].text else ""
                    spans[-1] = replace(spans[-1], text=spans[-1].text + added, end_s=end_s)
        return [span for span in spans if span.start_s < span.end_s]


def written_words(text: str, phonemes: str) -> list[str]:
    """Return what each word of `phonemes` is written as in `text`; empty where that is uncertain.

    Numbers are spoken as several words and short words run into their neighbours, so words are paired
    where a clause has equally many in both.
    """
    written, spoken = _clauses(text), _clauses(phonemes)
    if len(written) != len(spoken):
        written, spoken = [list(chain(*written))], [list(chain(*spoken))]
    paired: list[str] = []
    for words, sounds in zip(written, spoken, strict=True):
        paired += words if len(words) == len(sounds) else [""] * len(sounds)
    return paired


def has_letters(phonemes: str) -> bool:
    """Whether there is more than punctuation in `phonemes`."""
    return any(_kind(letter) == "letter" for letter in phonemes)


def _clauses(text: str) -> list[list[str]]:
    clauses = [
        [word.strip(_AROUND_WORDS) for word in clause.split() if has_letters(word) or any(map(str.isdigit, word))]
        for clause in _BREAK.split(text)
    ]
    return [clause for clause in clauses if clause]


def _without_short_pauses(spans: Iterable[_Span]) -> list[_Span]:
    """Join pauses in a row, and give those that are too short to the phoneme before them."""
    joined: list[_Span] = []
    for paused, run in groupby(spans, key=lambda span: not span.text):
        if not paused:
            joined += run
            continue
        first, *rest = run
        pause = replace(first, end_s=[first, *rest][-1].end_s)
        if joined and pause.end_s - pause.start_s < _SHORTEST_PAUSE_S:
            joined[-1] = replace(joined[-1], end_s=pause.end_s)
        else:
            joined.append(pause)
    return joined


def _kind(letter: str) -> _Kind:
    category = unicodedata.category(letter[0])
    if letter in _STRESS:
        return "stress"
    if letter.isspace():
        return "space"
    if category in ("Ll", "Lu", "Lo"):
        return "letter"
    # What is left of the letters, diacritics and tones belongs to the phoneme before it.
    if category in ("Lm", "Mn", "Mc", "Nd") or (category[0] == "S" and not letter.isascii()):
        return "modifier"
    return "pause"
