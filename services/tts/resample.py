"""Changes the sample rate of speech as it comes."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

import numpy as np
import soxr

from services.contract.speech import AudioChunk, Mark


def resampled(
    chunks: Generator[AudioChunk, None, None], sample_rate_hz: int | None
) -> Generator[AudioChunk, None, None]:
    """Yield `chunks` at another rate; None leaves them alone. Marks come with the same chunk, or the next one."""
    with closing(chunks):
        resampler: soxr.ResampleStream | None = None
        marks: tuple[Mark, ...] = ()
        for chunk in chunks:
            if sample_rate_hz in (None, chunk.sample_rate_hz) or not chunk.pcm:
                yield chunk  # an empty one too: there the engine can be closed
                continue
            resampler = resampler or soxr.ResampleStream(chunk.sample_rate_hz, sample_rate_hz, 1, dtype="int16")
            marks += chunk.marks
            pcm = resampler.resample_chunk(np.frombuffer(chunk.pcm, "<i2")).tobytes()
            if pcm:
                yield AudioChunk(pcm, sample_rate_hz, marks)
                marks = ()
        if resampler is not None and sample_rate_hz is not None:
            rest = resampler.resample_chunk(np.empty(0, np.int16), last=True).tobytes()
            yield AudioChunk(rest, sample_rate_hz, marks)
