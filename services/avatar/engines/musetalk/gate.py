"""Where nothing is said: there the avatar's own frame is shown, and the networks rest."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from services.avatar.engines.musetalk.hearing import SAMPLE_RATE_HZ, Sound

_QUIET = 10 ** (-50 / 20)
_REACH_S = 0.12
"""A mouth opens before it is heard and closes after."""
_FADE_S = 0.12


class Gate:
    """Listens to a piece of speech, whole or as it comes, and says how much of each generated face is shown."""

    def __init__(self, fps: Fraction) -> None:
        self._fps = fps
        self._loud: list[bool] = []
        self._rest: Sound = np.zeros(0, np.float32)
        self._reach = math.ceil((_REACH_S + _FADE_S) * fps)

    def hear(self, sound: Sound) -> None:
        """Take the next piece, at 16 kHz."""
        self._rest = np.concatenate([self._rest, sound]) if self._rest.size else sound
        at = 0
        while at + (length := self._samples(len(self._loud))) <= len(self._rest):
            self._loud.append(_is_loud(self._rest[at : at + length]))
            at += length
        self._rest = self._rest[at:]

    def end(self) -> None:
        """Say that there is no more."""
        missing = self._samples(len(self._loud)) - len(self._rest)
        self._loud.append(_is_loud(np.pad(self._rest, (0, missing))))
        self._rest = self._rest[:0]

    def weight(self, frame: int) -> float:
        """Return how much of a frame's face is shown, after what was heard so far.

        All of it in speech, and less and less around it.
        """
        first = max(0, frame - self._reach)
        near = np.flatnonzero(self._loud[first : frame + self._reach + 1])
        if not near.size:
            return 0.0
        away_s = float(np.abs(near + first - frame).min() / self._fps)
        return min(1.0, max(0.0, 1 - (away_s - _REACH_S) / _FADE_S))

    def _samples(self, frame: int) -> int:
        """Return how long the sound of a frame is."""
        return round((frame + 1) * SAMPLE_RATE_HZ / self._fps) - round(frame * SAMPLE_RATE_HZ / self._fps)


def _is_loud(sound: Sound) -> bool:
    return bool(np.sqrt(np.mean(sound**2)) > _QUIET)
