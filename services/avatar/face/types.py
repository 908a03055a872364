"""What the face module finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from services.avatar.engine import Image, Landmarks
from services.avatar.face.crop import Points


@dataclass(frozen=True)
class Face:
    """The landmarks of a face that can be animated, and what will look less good than it could."""

    landmarks: Landmarks
    warnings: tuple[str, ...] = ()


class Follower(Protocol):
    """Finds one face in frame after frame."""

    def next(self, picture: Image) -> Points | None:
        """Return the mesh [468, 3] of the face in the next frame, or None where it is missed.

        Raises `UnsuitableFace` when the first frame with a face has several.
        """


class FaceFinder(Protocol):
    """Finds the face in a picture."""

    def find(self, picture: Image) -> Face:
        """Return the one face of `picture`.

        Raises `UnsuitableFace` when there is none or several, `Unavailable` when the model files cannot be had.
        """

    def follower(self) -> Follower:
        """Return a follower for the face of one film; raises `Unavailable` when the model files cannot be had."""
