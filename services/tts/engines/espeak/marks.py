"""Turns espeak-ng's events into marks."""

from __future__ import annotations

from collections.abc import Iterable

from services.contract.speech import Mark
from services.tts.engines.espeak.wire import END, PHONEME, WORD, Event


class MarkMaker:
    """Makes marks of events as they come: a mark is known when the next one of its kind begins.

    `seconds_per_sample` maps the library's sample positions to time. Times count from the library's first sample.
    """

    def __init__(self, text: str, seconds_per_sample: float) -> None:
        self._text = text
        self._seconds_per_sample = seconds_per_sample
        self._phoneme: tuple[str, float] | None = None
        self._word: tuple[str, float] | None = None
        self._word_position = -1

    def push(self, events: Iterable[Event]) -> list[Mark]:
        """Take the next events and return the marks they complete."""
        marks: list[Mark] = []
        for event in events:
            at_s = event.sample * self._seconds_per_sample
            if event.type == PHONEME:
                name = event.name.rstrip(b"\0").decode("utf-8", "ignore")  # the library cuts it at 8 bytes
                marks += self._on_phoneme(name, at_s)
            elif event.type == WORD and event.text_position != self._word_position:
                marks += self._end_word(at_s)
                self._word = (self._text[event.text_position - 1 :][: event.length], at_s)
                self._word_position = event.text_position
            elif event.type == END:
                marks += self._end_phoneme(at_s) + self._end_word(at_s)
        return marks

    def _on_phoneme(self, name: str, at_s: float) -> list[Mark]:
        if self._phoneme is not None and self._phoneme[0] == name == "":
            return []  # two pauses in a row are one
        marks = self._end_phoneme(at_s)
        self._phoneme = (name, at_s)
        return marks if name else marks + self._end_word(at_s)

    def _end_phoneme(self, at_s: float) -> list[Mark]:
        begun, self._phoneme = self._phoneme, None
        return _mark("phoneme", begun, at_s)

    def _end_word(self, at_s: float) -> list[Mark]:
        begun, self._word = self._word, None
        return _mark("word", begun, at_s)


def _mark(kind: str, begun: tuple[str, float] | None, end_s: float) -> list[Mark]:
    if begun is None or begun[1] >= end_s:
        return []
    return [Mark.model_validate({"kind": kind, "text": begun[0], "start_s": begun[1], "end_s": end_s})]
