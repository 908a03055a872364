"""Chance as a function of place: the same number for the same seed and place, whoever asks and whenever.

An idle face must look unplanned for many minutes, yet any segment of the film must be able to work
out its own part alone. So nothing is drawn from a generator; chance is hashed from the time itself.
"""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

from services.avatar.engines.portrait.instants import Floats

Cells = npt.NDArray[np.int64]


def uniform(cells: Cells, seed: int, purpose: str) -> Floats:
    """Return a number in [0, 1) for each of `cells`; another `purpose` gives unrelated numbers."""
    salt = np.uint64(zlib.crc32(purpose.encode()) ^ (seed * 0x9E3779B1 & 0xFFFFFFFF))
    with np.errstate(over="ignore"):
        bits = cells.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + salt * np.uint64(0xD1B54A32D192ED03)
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)  # the finaliser of SplitMix64
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        bits ^= bits >> np.uint64(31)
    chance: Floats = (bits >> np.uint64(11)) / float(1 << 53)
    return chance


def wander(times_s: Floats, period_s: float, seed: int, purpose: str) -> Floats:
    """Return a smooth path in [-1, 1] that takes a new random direction about every `period_s`."""
    cell = np.floor(times_s / period_s).astype(np.int64)
    within = times_s / period_s - cell
    ease = within**3 * (within * (within * 6 - 15) + 10)  # Perlin's fade: no jerk where cells meet
    start = 2 * uniform(cell, seed, purpose) - 1
    end = 2 * uniform(cell + 1, seed, purpose) - 1
    path: Floats = start + (end - start) * ease
    return path
