"""When each frame of a live film is given: a little before it is to be seen."""

from __future__ import annotations

import asyncio

from services.contract.video import Timeline

_SOON_S = 0.001
"""What is due in less is due: clocks are not asked for the rest."""


class FilmClock:
    """Begins with the first frame that is given, and is put back by as much as one comes late.

    Whoever watches stands still meanwhile and goes on from there, so that nothing is made up for.
    """

    def __init__(self, timeline: Timeline, lead_s: float | None) -> None:
        """Frames are given `lead_s` before they are to be seen; with None they are due at once, and never late."""
        self._timeline = timeline
        self._lead_s = lead_s
        self._began_s: float | None = None

    def wait_s(self, frame: int) -> float:
        """Return how long it is until `frame` is to be given."""
        if self._lead_s is None or self._began_s is None:
            return 0.0
        return self._began_s + self._timeline.seconds_at(frame) - self._lead_s - _now_s()

    def is_due(self, frame: int) -> bool:
        """Whether `frame` is to be given now."""
        return self.wait_s(frame) <= _SOON_S

    def give(self, frame: int) -> float:
        """Say that `frame` is given now; return by how much it missed the time at which it was to be seen."""
        if self._lead_s is None:
            return 0.0
        if self._began_s is None:
            self._began_s = _now_s()
        late_s = max(0.0, _now_s() - self._began_s - self._timeline.seconds_at(frame))
        self._began_s += late_s
        return late_s


def _now_s() -> float:
    return asyncio.get_running_loop().time()
