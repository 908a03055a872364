"""Changes the sample rate of speech as it comes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

import numpy as np
import soxr
from anyio import to_thread

from services.contract.speech import AudioChunk, join_chunks
from services.tts.sound import pcm_of, sound_of


async def at_rate(
    chunks: AsyncGenerator[AudioChunk, None], sample_rate_hz: int | None
) -> AsyncGenerator[AudioChunk, None]:
    """Yield `chunks` at another rate; None leaves them alone. Marks come with the same chunk, or the next one."""
    resampler: _Resampler | None = None
    async with aclosing(chunks):
        async for chunk in chunks:
            if sample_rate_hz is None or sample_rate_hz == chunk.sample_rate_hz:
                yield chunk
                continue
            resampler = resampler or _Resampler(chunk.sample_rate_hz, sample_rate_hz)
            if (made := await to_thread.run_sync(resampler.push, chunk)).pcm:
                yield made
                resampler.sent()
    if resampler is not None:
        yield resampler.finish()


class _Resampler:
    """One utterance on its way to another rate: the same samples, in whatever chunks it comes. Blocking."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        # In integers it would add noise that hangs on the chunks, and cached speech would differ from fresh.
        self._stream = soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32")
        self._rate_hz = to_hz
        self._held: list[AudioChunk] = []

    def push(self, chunk: AudioChunk) -> AudioChunk:
        """Return what is to be sent so far; it stays held until it is said to be sent."""
        pcm = pcm_of(self._stream.resample_chunk(sound_of(chunk.pcm)))
        self._held.append(replace(chunk, pcm=pcm, sample_rate_hz=self._rate_hz))
        return join_chunks(self._held)

    def sent(self) -> None:
        """Forget what was pushed."""
        self._held = []

    def finish(self) -> AudioChunk:
        """Return the rest."""
        rest = pcm_of(self._stream.resample_chunk(np.empty(0, np.float32), last=True))
        return join_chunks([*self._held, AudioChunk(rest, self._rate_hz)])
