"""Speech at another rate is the same, in whatever pieces it came."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import numpy as np
import pytest

from services.contract.speech import SAMPLE_BYTES, AudioChunk, join_chunks
from services.tts.resample import at_rate

RATE_HZ = 22_050


def resampled(pcm: bytes, sizes: Sequence[int], to_hz: int) -> AudioChunk:
    """Return `pcm` at another rate, given in chunks of so many samples and the rest."""

    async def chunks() -> AsyncGenerator[AudioChunk, None]:
        at = 0
        for size in (*sizes, len(pcm)):
            yield AudioChunk(pcm[at : at + SAMPLE_BYTES * size], RATE_HZ)
            at += SAMPLE_BYTES * size

    async def run() -> AudioChunk:
        return join_chunks([chunk async for chunk in at_rate(chunks(), to_hz)])

    return asyncio.run(run())


@pytest.mark.parametrize("to_hz", [8_000, 24_000, 48_000])
def test_it_is_the_same_in_whatever_pieces_it_comes(to_hz: int) -> None:
    chance = np.random.default_rng(1)
    pcm = (chance.normal(size=RATE_HZ) * 3_000).astype("<i2").tobytes()
    whole = resampled(pcm, [], to_hz)
    assert abs(whole.duration_s - 1) < 0.001
    for _ in range(10):
        assert resampled(pcm, chance.integers(1, 4_000, 5).tolist(), to_hz).pcm == whole.pcm
