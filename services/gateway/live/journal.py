"""The log of one live answer: what happened when, since the caller stopped speaking."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

_log = logging.getLogger(__name__)

Clock = Callable[[], float]
"""Returns the time in seconds, from any moment on."""


class Journal:
    """One line per event. The time counts from the beginning."""

    def __init__(self, name: str, clock: Clock = time.monotonic, began_s: float | None = None) -> None:
        """`name` says whose answer it is. It began `began_s` on the clock, by default now."""
        self._name = name
        self._clock = clock
        self._began = clock() if began_s is None else began_s

    @property
    def elapsed_s(self) -> float:
        """Time since the beginning."""
        return self._clock() - self._began

    def note(self, event: str, sentence: int | None = None) -> None:
        """Write down that something happened, to sentence number `sentence` from 0 on."""
        what = event if sentence is None else f"sentence {sentence + 1} {event}"
        _log.info("%s %.3f s: %s", self._name, self.elapsed_s, what)
