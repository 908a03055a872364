"""Square regions of a picture, seen at the size a network wants."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from services.avatar.engine import Image
from services.avatar.face.network import Tensor

Points = npt.NDArray[np.float64]
"""[points, 2 or 3] in pixels of the picture unless said otherwise."""


@dataclass(frozen=True)
class Square:
    """A square region: its centre and side in pixels, and its tilt clockwise in radians."""

    centre: tuple[float, float]
    side_px: float
    tilt: float = 0.0


class Crop:
    """A square region resampled to `size` pixels a side, RGB. What lies beyond the picture is black."""

    def __init__(self, picture: Image, square: Square, size: int) -> None:
        self._scale = size / square.side_px
        cos, sin = math.cos(square.tilt) * self._scale, math.sin(square.tilt) * self._scale
        self._turn = np.array([[cos, sin], [-sin, cos]])
        self._shift = size / 2 - self._turn @ np.array(square.centre)
        self.pixels = self._resample(picture, square, size)

    def to_picture(self, points: Points) -> Points:
        """Return points of the crop, [n, 2] or with depth [n, 3], in pixels of the picture."""
        flat = (points[:, :2] - self._shift) @ np.linalg.inv(self._turn).T
        return np.concatenate([flat, points[:, 2:] / self._scale], axis=1)

    def _resample(self, picture: Image, square: Square, size: int) -> Tensor:
        corner, part = _surroundings(picture, square)
        if not part.size:
            return np.zeros((size, size, 3), np.float32)
        # Shrunk by area first: a large face sampled at few points would alias.
        shrink = min(1.0, 2 * self._scale)
        small = part if shrink == 1.0 else _shrunk(part, shrink)
        ratio = np.array([small.shape[1] / part.shape[1], small.shape[0] / part.shape[0]])
        matrix = np.column_stack([self._turn / ratio, self._shift + self._turn @ corner])
        return cv2.warpAffine(small, matrix, (size, size))[..., ::-1].astype(np.float32)


def _surroundings(picture: Image, square: Square) -> tuple[Points, Image]:
    """Return the upright part of `picture` that holds `square` however it is tilted, and its top left corner."""
    reach = square.side_px / math.sqrt(2)
    left, top = (max(0, math.floor(at - reach)) for at in square.centre)
    right, bottom = (max(0, math.ceil(at + reach)) for at in square.centre)
    return np.array([left, top], np.float64), picture[top:bottom, left:right]


def _shrunk(part: Image, factor: float) -> Image:
    height, width = (max(1, round(length * factor)) for length in part.shape[:2])
    return cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
