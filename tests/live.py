"""What tests of live speech share: an engine that takes as long as it is told, and a clock that nobody waits for."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from services.chassis.ending import end_tasks
from services.contract.errors import EngineFailed
from services.contract.speech import SAMPLE_BYTES, AudioChunk, Mark, SpeechRequest, Voice
from services.gateway.clients import SpeechAnswer
from services.gateway.live.tokens import Token
from services.tts.engine import Utterance

T = TypeVar("T")
RATE_HZ = 24_000
CHUNK_S = 0.1
_LOOKED_EVERY_S = 0.01


class TimedEngine:
    """Takes so many seconds for each text, and says as much of a tone; texts with "breaks" in them fail.

    With `streams`, sound comes while it works, otherwise all of it at the end. The words are known from the start.
    """

    name, revision, sample_rate_hz = "timed", "1", RATE_HZ
    cloning = phoneme_marks = ipa = False
    default_voice = "tone"

    def __init__(self, takes_s: Mapping[str, float], *, streams: bool = False, sound_s: float = 0.2) -> None:
        self._takes_s = takes_s
        self._streams = streams
        self._sound_s = sound_s
        self.asked: list[str] = []

    def voices(self) -> list[Voice]:
        return [Voice(name="tone", language="multi", gender="neutral")]

    def languages(self) -> list[str]:
        return ["en"]

    def resolve(self, request: SpeechRequest) -> Utterance:
        return Utterance(request.text, "tone", "en")

    def synthesize(self, utterance: Utterance) -> Generator[AudioChunk, None, None]:
        self.asked.append(utterance.text)
        pieces = max(1, round(self._sound_s / CHUNK_S)) if self._streams else 1
        takes_s = self._takes_s.get(utterance.text, 0.0)
        speech = tone(self._sound_s, utterance.text)
        piece_bytes = SAMPLE_BYTES * -(-speech.samples // pieces)
        for start in range(0, len(speech.pcm), piece_bytes):
            time.sleep(takes_s / pieces)
            if "breaks" in utterance.text:
                raise EngineFailed("The tone broke.")
            yield replace(speech, pcm=speech.pcm[start : start + piece_bytes], marks=speech.marks if not start else ())

    def warm_up(self) -> None: ...

    def check(self) -> None: ...

    def forget(self, digest: str) -> None: ...

    def close(self) -> None: ...


class InstantTts:
    """In place of the tts client, where thousands of sentences should not take minutes."""

    @asynccontextmanager
    async def speak(self, request: SpeechRequest, patience_s: float = 0.0) -> AsyncIterator[SpeechAnswer]:
        async def chunks() -> AsyncIterator[AudioChunk]:
            yield tone(0.05, request.text)

        yield SpeechAnswer("instant", "en", "tone", "", 1, False, False, chunks())


def tone(duration_s: float, text: str = "", rate_hz: int = RATE_HZ) -> AudioChunk:
    """Return a tone that says the words of `text`, each as long as the others."""
    wave = 8000 * np.sin(np.arange(round(duration_s * rate_hz)) * 2 * np.pi * 220 / rate_hz)
    words, marks = text.split(), list[Mark]()
    for place, word in enumerate(words):
        start_s, end_s = (duration_s * edge / len(words) for edge in (place, place + 1))
        marks.append(Mark(kind="word", text=word, start_s=start_s, end_s=end_s))
    return AudioChunk(wave.astype("<i2").tobytes(), rate_hz, tuple(marks))


async def tokens_of(tokens: Iterable[Token], every_s: float = 0.0) -> AsyncGenerator[Token, None]:
    """Yield tokens as a language model does, or as fast as they are read."""
    for token in tokens:
        await asyncio.sleep(every_s)
        yield token


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits: the time it should have waited has passed."""

    def __init__(self) -> None:
        super().__init__()
        self.passed_s = 0.0

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(0)
        if not found and timeout:
            self.passed_s += timeout
        return found


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop on whose clock nobody waits: an hour passes as fast as what happens in it is worked out."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.passed_s


def run_jumping(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` on such a clock; it may neither use threads nor the network."""
    loop = JumpingLoop()
    try:
        return loop.run_until_complete(work)
    finally:
        loop.run_until_complete(end_tasks(*asyncio.all_tasks(loop)))
        loop.close()


async def until(happened: Callable[[], bool], within_s: float = 10.0) -> None:
    """Return once something has happened."""
    for _ in range(round(within_s / _LOOKED_EVERY_S)):
        if happened():
            return
        await asyncio.sleep(_LOOKED_EVERY_S)
    raise AssertionError("it did not happen")
