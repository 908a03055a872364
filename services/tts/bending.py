"""Changes pitch and pace of finished sound, for what an engine cannot do by itself."""

from __future__ import annotations

import numpy as np

from services.tts.filters import FilterChain, FilterSpec
from services.tts.sound import Sound

_SLOWEST_STAGE = 0.5


def bending(sample_rate_hz: int, *, shift: float, tempo: float) -> list[FilterSpec]:
    """Return the filters that change the pitch by `shift` and the pace by `tempo`; none when both are 1."""
    filters: list[FilterSpec] = []
    if shift != 1:
        filters += [("asetrate", f"{sample_rate_hz * shift:.0f}"), ("aresample", f"{sample_rate_hz}")]
    stretch = tempo / shift
    if stretch != 1:
        stages = 1 if stretch >= _SLOWEST_STAGE else 2
        filters += [("atempo", f"{stretch ** (1 / stages):.6f}")] * stages
    return filters


def bent(sound: Sound, sample_rate_hz: int, *, shift: float, tempo: float) -> Sound:
    """Return a whole piece of sound with another pitch and pace."""
    filters = bending(sample_rate_hz, shift=shift, tempo=tempo)
    if not filters:
        return sound
    chain = FilterChain(sample_rate_hz, filters)
    return np.concatenate([chain.push(sound), chain.finish()])
