"""Finishes the raw voice: trims, equalizes, levels and limits it as it comes.

espeak-ng makes seconds of speech in milliseconds. So the first seconds are held back until their
loudness is known, and one gain brings every voice in every language to the same level.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from services.tts.engines.espeak.trim import SilenceTrimmer
from services.tts.filters import FilterChain, FilterSpec
from services.tts.loudness import integrated_loudness_lufs
from services.tts.sound import Sound

LEAD_S, TAIL_S = 0.03, 0.15
"""Silence before the first and after the last sound."""

_LOUDNESS_LUFS = -16.0
_LISTEN_S = 8.0
_LEVELLING_ROUNDS = 3
_FADE_S = 0.005
_LIMITER: FilterSpec = ("alimiter", "limit=0.8:level=0:attack=3:release=40:latency=1")


class Finisher:
    """Finishes one utterance."""

    def __init__(self, sample_rate_hz: int, filters: Sequence[FilterSpec]) -> None:
        self._rate = sample_rate_hz
        self._trimmer = SilenceTrimmer(sample_rate_hz, LEAD_S, TAIL_S)
        self._equalizer = FilterChain(sample_rate_hz, filters)
        self._limiter = FilterChain(sample_rate_hz, [_LIMITER])
        self._held: list[Sound] = []
        self._gain: float | None = None
        self._fade_in = np.linspace(0, 1, round(_FADE_S * sample_rate_hz), dtype=np.float32)

    @property
    def removed_s(self) -> float:
        """How much silence the start lost; known once sound has come out."""
        return self._trimmer.removed_samples / self._rate

    def push(self, sound: Sound) -> Sound:
        """Take the next piece and return what is finished."""
        return self._limiter.push(self._level(self._equalizer.push(self._trimmer.push(sound))))

    def finish(self) -> Sound:
        """Return the rest, faded out."""
        tail = self._equalizer.push(self._trimmer.finish())
        last = np.concatenate([tail, self._equalizer.finish()])
        self._held.append(last)
        levelled = self._release()
        rest = np.concatenate([self._limiter.push(levelled), self._limiter.finish()])
        fade = min(len(rest), len(self._fade_in))
        rest[len(rest) - fade :] *= self._fade_in[::-1][len(self._fade_in) - fade :]
        return rest

    def _level(self, sound: Sound) -> Sound:
        self._held.append(sound)
        if self._gain is None and sum(map(len, self._held)) < _LISTEN_S * self._rate:
            return np.empty(0, np.float32)
        return self._release()

    def _release(self) -> Sound:
        sound = np.concatenate(self._held)
        self._held.clear()
        if self._gain is None:
            self._gain = self._gain_for(sound)
            fade = min(len(sound), len(self._fade_in))
            sound[:fade] *= self._fade_in[:fade]
        levelled: Sound = sound * np.float32(self._gain)
        return levelled

    def _gain_for(self, sound: Sound) -> float:
        """Return the gain that brings `sound` to the wanted loudness after the limiter has taken its part."""
        gain_db = 0.0
        for _ in range(_LEVELLING_ROUNDS):
            limiter = FilterChain(self._rate, [_LIMITER])
            louder = limiter.push(sound * np.float32(10 ** (gain_db / 20)))
            loudness_lufs = integrated_loudness_lufs(np.concatenate([louder, limiter.finish()]), self._rate)
            if not np.isfinite(loudness_lufs):
                return 1.0
            gain_db += _LOUDNESS_LUFS - loudness_lufs
        return float(10 ** (gain_db / 20))
