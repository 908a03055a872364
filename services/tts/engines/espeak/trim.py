"""Cuts the silence around an utterance down to a known length."""

from __future__ import annotations

import numpy as np

from services.tts.sound import Sound

_AUDIBLE = 1e-3
"""-60 dBFS."""


class SilenceTrimmer:
    """Passes sound on from `lead_s` before it is first heard until `tail_s` after it is last heard.

    `removed_samples` says, once sound has come out, how much was cut off at the start; it is negative
    where silence had to be added.
    """

    def __init__(self, sample_rate_hz: int, lead_s: float, tail_s: float) -> None:
        self._lead = round(lead_s * sample_rate_hz)
        self._tail = round(tail_s * sample_rate_hz)
        self._held = np.zeros(self._lead, np.float32)
        self._started = False
        self.removed_samples = -self._lead

    def push(self, sound: Sound) -> Sound:
        """Take the next piece and return what is certain to be kept."""
        sound = np.concatenate([self._held, sound])
        heard = np.flatnonzero(np.abs(sound) > _AUDIBLE)
        if not len(heard):
            return self._hold(sound)
        first = 0
        if not self._started:
            first = int(heard[0]) - self._lead
            self.removed_samples += first
            self._started = True
        end = int(heard[-1]) + 1
        self._held = sound[end:]
        return sound[first:end]

    def finish(self) -> Sound:
        """Return the silence at the end; nothing when nothing was ever heard."""
        if not self._started:
            return np.empty(0, np.float32)
        return np.concatenate([self._held, np.zeros(self._tail, np.float32)])[: self._tail]

    def _hold(self, sound: Sound) -> Sound:
        if not self._started:
            self.removed_samples += len(sound) - self._lead
            self._held = sound[len(sound) - self._lead :]
        else:
            self._held = sound
        return np.empty(0, np.float32)
