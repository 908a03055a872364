"""Waits for a library that cannot be interrupted, without being stuck in it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import Executor, wait
from typing import TypeVar

from services.contract.speech import AudioChunk
from services.tts.engine import PATIENCE_S

T = TypeVar("T")


def waited_for(threads: Executor, work: Callable[[], T], sample_rate_hz: int) -> Generator[AudioChunk, None, T]:
    """Return what `work` returns; yield empty chunks meanwhile.

    Closed while it waits, it leaves the work to end by itself.
    """
    future = threads.submit(work)
    try:
        while not wait([future], PATIENCE_S).done:
            yield AudioChunk(b"", sample_rate_hz)
        return future.result()
    finally:
        future.cancel()
