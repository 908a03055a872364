"""Speech at 16 kHz, which is what the ears take: of a whole, or of pieces without waiting for the next one."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import soxr

from services.avatar.engines.musetalk.hearing import SAMPLE_RATE_HZ, Sound
from services.contract.errors import InvalidRequest
from services.contract.speech import AudioChunk

_EDGE_S = 0.01
"""How far the filter reaches: so much at the end of a piece is only right once the next one has come."""
_CONTEXT_S = 0.05
_AT_ONCE = 480_000
_SPARE_SAMPLES = 16


def at_16_khz(speech: AudioChunk) -> Sound:
    """Return a whole speech; it is converted a piece at a time, so that a long one takes no more than its result."""
    stream = soxr.ResampleStream(speech.sample_rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32")
    samples = np.frombuffer(speech.pcm, "<i2")
    sound = np.empty(len(samples) * SAMPLE_RATE_HZ // speech.sample_rate_hz + _SPARE_SAMPLES, np.float32)
    done = 0
    for at in range(0, max(1, len(samples)), _AT_ONCE):
        piece = stream.resample_chunk(_as_float(samples[at : at + _AT_ONCE]), last=at + _AT_ONCE >= len(samples))
        sound[done : done + len(piece)] = piece
        done += len(piece)
    return sound[:done]


class PieceResampler:
    """Resamples pieces as they come.

    soxr's own stream keeps up to 37 ms to itself. Here all that has come is given at once, its last
    10 ms as if silence followed; with the next piece they are given again, right.
    """

    def __init__(self) -> None:
        self._rate_hz = 0
        self._held: npt.NDArray[np.float32] = np.zeros(0, np.float32)
        self._held_from = 0
        """Place in the speech of the first sample that is held."""
        self._given = 0

    def feed(self, piece: AudioChunk) -> tuple[int, Sound]:
        """Return how many of the samples that were given last are replaced, and the samples from there on.

        Raises `InvalidRequest` when the pieces differ in sample rate.
        """
        self._rate_hz = self._rate_hz or piece.sample_rate_hz
        if piece.sample_rate_hz != self._rate_hz:
            raise InvalidRequest("All pieces of a speech must have one sample rate.")
        self._held = np.concatenate([self._held, _as_float(np.frombuffer(piece.pcm, "<i2"))])
        come = (self._held_from + len(self._held)) * SAMPLE_RATE_HZ // self._rate_hz
        first = self._held_from * SAMPLE_RATE_HZ // self._rate_hz
        replaced = min(self._given - first, math.ceil(_EDGE_S * SAMPLE_RATE_HZ))
        sound: Sound = soxr.resample(self._held, self._rate_hz, SAMPLE_RATE_HZ)
        sound = sound[self._given - replaced - first : come - first]
        self._given = come
        self._forget()
        return replaced, sound

    def _forget(self) -> None:
        """Hold enough for the next piece only, from a place that both rates have a sample at."""
        step = self._rate_hz // math.gcd(self._rate_hz, SAMPLE_RATE_HZ)
        spare = max(0, len(self._held) - round(_CONTEXT_S * self._rate_hz)) // step * step
        self._held = self._held[spare:]
        self._held_from += spare


def _as_float(samples: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]:
    scaled: npt.NDArray[np.float32] = samples.astype(np.float32) / np.float32(32768)
    return scaled
