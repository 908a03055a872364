"""What the tts service counts, for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Histogram

from services.contract.speech import AudioChunk

_FIRST_SOUND_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2, 5, 10)


class TtsMetrics:
    """Counters of one app."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._audio = Counter("talkie_tts_audio_seconds", "Speech made.", ["engine"], registry=registry)
        self._work = Counter("talkie_tts_work_seconds", "Time spent making it.", ["engine"], registry=registry)
        self._takes = Counter(
            "talkie_tts_retakes", "Utterances spoken again because they ran on.", ["engine"], registry=registry
        )
        self._fallbacks = Counter(
            "talkie_tts_fallbacks", "Requests another engine took over.", ["engine"], registry=registry
        )
        self._first = Histogram(
            "talkie_tts_first_audio_seconds",
            "Time to the first sound.",
            ["engine"],
            buckets=_FIRST_SOUND_S,
            registry=registry,
        )

    def fell_back(self, engine: str) -> None:
        """Count a request that `engine` left to the next one."""
        self._fallbacks.labels(engine).inc()

    @contextmanager
    def speaking(self, engine: str) -> Iterator[Callable[[AudioChunk], None]]:
        """Measure one utterance; give what is to be told of each chunk."""
        began = time.perf_counter()
        heard = False

        def told(chunk: AudioChunk) -> None:
            nonlocal heard
            if not heard:
                self._first.labels(engine).observe(time.perf_counter() - began)
                self._takes.labels(engine).inc(chunk.takes - 1)
            heard = True
            self._audio.labels(engine).inc(chunk.duration_s)

        try:
            yield told
        finally:
            self._work.labels(engine).inc(time.perf_counter() - began)
