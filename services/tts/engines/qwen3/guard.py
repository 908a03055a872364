"""Keeps speech from running on: language-model engines sometimes babble for minutes, or hang on one sound."""

from __future__ import annotations

import re
from collections import deque

FRAMES_PER_S = 12.5

_PACES_S = (
    (re.compile(r"[\u4e00-\u9fff]"), 0.22),
    (re.compile(r"[\uac00-\ud7af]"), 0.17),
    (re.compile(r"[\u3040-\u30ff]"), 0.14),
    (re.compile(r"\d"), 0.35),
)
_LETTER_S = 0.07
"""How long a character of a script is ordinarily heard."""

_SLOWEST = 3.0
"""A take may be so many times slower than ordinary ..."""
_MARGIN_S = 2.0
"""... and pause so long beside, before it counts as running on."""

_LONGEST_PERIOD = 16
_REPEATS = 5
_STUCK_FRAMES = 40
"""The same code for 3.2 s is a hum or a silence, not speech."""


def frame_budget(text: str) -> int:
    """Return how many codec frames `text` can sensibly take."""
    counts = [(len(script.findall(text)), pace_s) for script, pace_s in _PACES_S]
    letters = len(text) - sum(count for count, _ in counts)
    ordinary_s = letters * _LETTER_S + sum(count * pace_s for count, pace_s in counts)
    return round(FRAMES_PER_S * (ordinary_s * _SLOWEST + _MARGIN_S))


class RepeatWatchdog:
    """Notices when the first codebook goes round in a circle."""

    def __init__(self) -> None:
        self._codes: deque[int] = deque(maxlen=_LONGEST_PERIOD * _REPEATS)

    def push(self, code: int) -> bool:
        """Take the next frame's first code; return whether the speech is stuck."""
        self._codes.append(code)
        codes = list(self._codes)
        return any(_circles(codes, period) for period in range(1, _LONGEST_PERIOD + 1))


def _circles(codes: list[int], period: int) -> bool:
    length = max(period * _REPEATS, _STUCK_FRAMES)
    if len(codes) < length:
        return False
    recent = codes[-length:]
    return all(recent[at] == recent[at - period] for at in range(period, length))
