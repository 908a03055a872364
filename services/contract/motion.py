"""Which moments of an avatar's motion a segment shows: its way from one pose to another."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from services.contract.errors import InvalidRequest

_SLOWEST, _FASTEST = Fraction(1, 2), Fraction(3, 2)
"""Times the avatar's own pace. A way that is too short to be gone so slowly is gone forth and back."""


@dataclass(frozen=True)
class MotionPath:
    """`frames` frames from moment `start` to moment `end`, which the next segment begins with.

    Moments are frames of a film that shows the motion at its own pace, as one that is `frames` long does
    where `end` is `start + frames`.
    """

    start: int
    end: int
    frames: int

    def __post_init__(self) -> None:
        """Raise `InvalidRequest` for a way that cannot be gone in so few frames."""
        if not -self.frames <= self.end - self.start <= _FASTEST * self.frames:
            raise InvalidRequest(
                f"motion_end: from {self.start} to {self.end} is too far for {self.frames} frames.", param="motion_end"
            )

    def at(self, frame: int) -> Fraction:
        """Return the moment that is shown in `frame` of the segment."""
        span = self.end - self.start
        if span >= _SLOWEST * self.frames:
            return self.start + Fraction(frame * span, self.frames)
        turn = Fraction(self.frames + span, 2)
        return self.start + turn - abs(frame - turn)
