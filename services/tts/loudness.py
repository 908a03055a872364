"""Integrated loudness as ITU-R BS.1770-4 defines it, for one mono piece of speech."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from services.tts.sound import Sound

_BLOCK_S, _STEP_S = 0.4, 0.1
_ABSOLUTE_GATE_LUFS, _RELATIVE_GATE_LU = -70.0, -10.0
_OFFSET_LU = -0.691

_STANDARD_RATE_HZ = 48_000
_SHELF = ((1.53512485958697, -2.69169618940638, 1.19839281085285), (1.0, -1.69065929318241, 0.73248077421585))
_HIGH_PASS = ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621))
"""The two stages of the K-weighting, (numerator, denominator), as the standard gives them for 48 kHz."""


def integrated_loudness_lufs(sound: Sound, sample_rate_hz: int) -> float:
    """Return the gated loudness; sounds shorter than one block (0.4 s) count as one block."""
    block, step = round(_BLOCK_S * sample_rate_hz), round(_STEP_S * sample_rate_hz)
    if len(sound) < block:
        sound = np.pad(sound, (0, block - len(sound)))
    blocks = np.lib.stride_tricks.sliding_window_view(sound, block)[::step]
    powers = _weighted_power(blocks, sample_rate_hz)
    powers = powers[powers > _power(_ABSOLUTE_GATE_LUFS)]
    if not len(powers):
        return -np.inf
    loud = powers[powers > powers.mean() * 10 ** (_RELATIVE_GATE_LU / 10)]
    return float(_OFFSET_LU + 10 * np.log10(loud.mean()))


def _weighted_power(blocks: npt.NDArray[np.float32], sample_rate_hz: int) -> npt.NDArray[np.float64]:
    """Return the mean square of each K-weighted block, by way of its spectrum (Parseval)."""
    length = blocks.shape[1]
    energies = np.abs(np.fft.rfft(blocks, axis=1)) ** 2
    frequencies_hz = np.fft.rfftfreq(length, 1 / sample_rate_hz)
    return np.asarray(2 * energies @ _k_weighting(frequencies_hz) / length**2)


def _k_weighting(frequencies_hz: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float64]:
    """Return the power gain of the K-weighting at each frequency."""
    delay = np.exp(-2j * np.pi * frequencies_hz / _STANDARD_RATE_HZ)
    gain = np.ones(len(frequencies_hz))
    for numerator, denominator in (_SHELF, _HIGH_PASS):
        gain *= np.abs(np.polyval(numerator[::-1], delay) / np.polyval(denominator[::-1], delay)) ** 2
    return gain


def _power(lufs: float) -> float:
    return float(10 ** ((lufs - _OFFSET_LU) / 10))
