"""Where nothing is said: there the avatar's own frame is shown, and the networks rest."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from services.avatar.engines.musetalk.hearing import SAMPLE_RATE_HZ, Sound

_QUIET = 10 ** (-50 / 20)
_REACH_S = 0.12
"""A mouth opens before it is heard and closes after."""
_FADE_S = 0.12

Weights = npt.NDArray[np.float32]
"""[frames], 0 shows the avatar's own frame and 1 the generated one."""


def speech_weights(sound: Sound, frames: int, fps: Fraction) -> Weights:
    """Return how much of the generated face each frame shows: all of it in speech, and less and less around it."""
    edges = [round(frame * SAMPLE_RATE_HZ / fps) for frame in range(frames + 1)]
    padded = np.pad(sound, (0, max(0, edges[-1] - len(sound))))
    loud = np.array([_loudness(padded[at:to]) > _QUIET for at, to in pairwise(edges)])
    spoken = np.flatnonzero(loud)
    if not len(spoken):
        return np.zeros(frames, np.float32)
    away_s = np.abs(np.arange(frames)[:, None] - spoken[None]).min(1) / float(fps)
    weights: Weights = np.clip(1 - (away_s - _REACH_S) / _FADE_S, 0, 1).astype(np.float32)
    return weights


def _loudness(sound: Sound) -> float:
    return float(np.sqrt(np.mean(sound**2))) if len(sound) else 0.0
