"""Puts the worker's raw output together into chunks of finished speech with marks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from services.contract.speech import AudioChunk, Mark
from services.tts.bending import bending
from services.tts.engines.espeak.finish import Finisher
from services.tts.engines.espeak.marks import EventMarks
from services.tts.engines.espeak.voices import Delivery
from services.tts.engines.espeak.wire import Event
from services.tts.filters import FilterChain, FilterSpec
from services.tts.sound import Sound, pcm_of, sound_of


class SpeechAssembler:
    """Assembles one utterance: does what the library could not do for `delivery`, and colours it with `filters`."""

    def __init__(self, text: str, sample_rate_hz: int, delivery: Delivery, filters: Sequence[FilterSpec]) -> None:
        self._rate = sample_rate_hz
        self._marker = EventMarks(text, 1 / (sample_rate_hz * delivery.tempo))
        self._bender = FilterChain(sample_rate_hz, bending(sample_rate_hz, shift=delivery.shift, tempo=delivery.tempo))
        self._finisher = Finisher(sample_rate_hz, filters)
        self._marks: list[Mark] = []
        self._sent_samples = 0

    def push(self, events: Iterable[Event], pcm: bytes) -> AudioChunk | None:
        """Take the worker's next chunk and return what is finished, or None."""
        self._marks += self._marker.push(events)
        raw = sound_of(pcm)
        sound = self._finisher.push(self._bender.push(raw))
        if not len(sound):
            return None
        self._sent_samples += len(sound)
        return self._chunk(sound, self._take_marks(whole=False))

    def finish(self) -> AudioChunk | None:
        """Return the rest, or None when nothing was ever heard."""
        self._marks += self._marker.finish()
        last = self._finisher.push(self._bender.finish())
        sound = np.concatenate([last, self._finisher.finish()])
        self._sent_samples += len(sound)
        if not self._sent_samples:
            return None
        return self._chunk(sound, self._take_marks(whole=True))

    def _take_marks(self, *, whole: bool) -> list[Mark]:
        """Return the marks whose sound has been sent; all of them, fitted into the sound, when it is `whole`."""
        sent_s = self._sent_samples / self._rate
        ready: list[Mark] = []
        waiting: list[Mark] = []
        for mark in self._marks:
            start_s, end_s = mark.start_s - self._finisher.removed_s, mark.end_s - self._finisher.removed_s
            if end_s > sent_s and not whole:
                waiting.append(mark)
            elif min(end_s, sent_s) > max(start_s, 0):
                ready.append(Mark(kind=mark.kind, text=mark.text, start_s=max(start_s, 0), end_s=min(end_s, sent_s)))
        self._marks = waiting
        return ready

    def _chunk(self, sound: Sound, marks: Sequence[Mark]) -> AudioChunk:
        return AudioChunk(pcm=pcm_of(sound), sample_rate_hz=self._rate, marks=tuple(marks))
