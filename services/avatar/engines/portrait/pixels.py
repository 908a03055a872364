"""OpenCV's two workhorses with types: looking pixels up elsewhere, and rounding them to bytes."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from services.avatar.engine import Image

Floats = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.float32] | npt.NDArray[np.float64]

_NO_SECOND_MAP: Any = None


def look_up(picture: Image, origins: Floats) -> Image:
    """Return `picture` [h, w, c] read at the positions `origins` [rows, columns, 2], as [rows, columns, c]."""
    read = cv2.remap(picture, origins, _NO_SECOND_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(read, np.uint8)


def to_bytes(colours: Numbers) -> Image:
    """Return `colours` rounded and kept between 0 and 255."""
    return np.asarray(cv2.convertScaleAbs(colours), np.uint8)
