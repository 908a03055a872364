"""Turns espeak-ng's events into marks."""

from __future__ import annotations

from collections.abc import Iterable

from services.contract.speech import Mark
from services.tts.engines.espeak.wire import END, PHONEME, WORD, Event

_SHORTEST_PAUSE_S = 0.06
"""espeak-ng also leaves glides and glottal stops nameless; those are shorter and belong to the phoneme before."""


class EventMarks:
    """Makes marks of events as they come: a mark is known when what follows it begins.

    `seconds_per_sample` maps the library's sample positions to time. Times count from the library's
    first sample, and the phonemes, pauses among them, leave no gap.
    """

    def __init__(self, text: str, seconds_per_sample: float) -> None:
        self._text = text
        self._seconds_per_sample = seconds_per_sample
        self._phoneme: tuple[str, float] | None = None
        self._word: tuple[str, float] | None = None
        self._word_position = 0
        self._pause_s: float | None = None
        self._end_s = 0.0

    def push(self, events: Iterable[Event]) -> list[Mark]:
        """Take the next events and return the marks they complete."""
        marks: list[Mark] = []
        for event in events:
            at_s = event.sample * self._seconds_per_sample
            if event.type == PHONEME:
                # The library cuts the name at 8 bytes, so the last letter may be a broken one.
                marks += self._on_phoneme(event.name.rstrip(b"\0").decode("utf-8", "ignore"), at_s)
            elif event.type == WORD and event.text_position != self._word_position:
                marks += self._on_word(event, at_s)
            elif event.type == END:
                self._end_s = at_s
        return marks

    def finish(self) -> list[Mark]:
        """Return the marks that the end of the speech completes."""
        marks = self._end_word(self._break_s(self._end_s)) + self._on_phoneme("end", self._end_s)
        self._phoneme = None
        return marks

    def _on_phoneme(self, name: str, at_s: float) -> list[Mark]:
        if not name:
            self._pause_s = at_s if self._pause_s is None else self._pause_s
            return []
        break_s = self._break_s(at_s)
        marks = self._end_word(break_s) if break_s < at_s else []
        marks += _mark("phoneme", self._phoneme, break_s) + _mark("phoneme", ("", break_s), at_s)
        self._phoneme, self._pause_s = (name, at_s), None
        return marks

    def _on_word(self, event: Event, at_s: float) -> list[Mark]:
        marks = self._end_word(self._break_s(at_s))
        start = event.text_position - 1
        self._word = (self._text[start : start + event.length], at_s)
        self._word_position = event.text_position
        return marks

    def _end_word(self, at_s: float) -> list[Mark]:
        if self._word is not None and self._word[1] >= at_s:
            return []  # the pause was before this word
        begun, self._word = self._word, None
        return _mark("word", begun, at_s)

    def _break_s(self, at_s: float) -> float:
        """Return when the pause that ends at `at_s` began; `at_s` itself if there is none."""
        if self._pause_s is None or at_s - self._pause_s < _SHORTEST_PAUSE_S:
            return at_s
        return self._pause_s


def _mark(kind: str, begun: tuple[str, float] | None, end_s: float) -> list[Mark]:
    if begun is None or begun[1] >= end_s:
        return []
    return [Mark.model_validate({"kind": kind, "text": begun[0], "start_s": begun[1], "end_s": end_s})]
