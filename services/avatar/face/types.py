"""What the face module finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from services.avatar.engine import Image, Landmarks


@dataclass(frozen=True)
class Face:
    """The landmarks of a face that can be animated, and what will look less good than it could."""

    landmarks: Landmarks
    warnings: tuple[str, ...] = ()


class FaceFinder(Protocol):
    """Finds the face in a picture."""

    def find(self, picture: Image) -> Face:
        """Return the one face of `picture`.

        Raises `UnsuitableFace` when there is none or several, `Unavailable` when the model files cannot be had.
        """
