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
    """A square region resampled to `size` pixels a side, RGB."""

    def __init__(self, picture: Image, square: Square, size: int) -> None:
        self._scale = size / square.side_px
        cos, sin = math.cos(square.tilt) * self._scale, math.sin(square.tilt) * self._scale
        turn = np.array([[cos, sin], [-sin, cos]])
        self._turn = turn
        self._shift = size / 2 - turn @ np.array(square.centre)
        self.pixels = _resample(picture, turn, self._shift, size)

    def to_picture(self, points: Points) -> Points:
        """Return points of the crop, [n, 2] or with depth [n, 3], in pixels of the picture."""
        flat = (points[:, :2] - self._shift) @ np.linalg.inv(self._turn).T
        return np.concatenate([flat, points[:, 2:] / self._scale], axis=1)


def _resample(picture: Image, turn: Points, shift: Points, size: int) -> Tensor:
    # Shrunk by area first: sampling a large face at few points would alias.
    shrink = min(1.0, 2 * math.hypot(turn[0, 0], turn[0, 1]))
    small = picture if shrink == 1.0 else cv2.resize(picture, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    ratio = np.array([small.shape[1] / picture.shape[1], small.shape[0] / picture.shape[0]])
    matrix = np.column_stack([turn / ratio, shift])
    crop = cv2.warpAffine(small, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return crop[..., ::-1].astype(np.float32)
