"""Places a portrait in a frame of any shape: crops what is too much, fills what is missing."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from services.avatar.engine import AvatarSource, FrameSize, Image, Landmarks
from services.avatar.engines.face_mesh import FACE_OVAL

_TALLEST_FACE = 0.62
"""A face may fill this share of the frame's height before a cropped picture would feel too close."""

_BLUR = 0.05
_SEAM = 0.06
"""Of the frame's smaller side: the blur of a filled border, and how softly it meets the picture."""


@dataclass(frozen=True)
class Framed:
    """A portrait as it stands in the frame."""

    picture: Image
    closed_eyes: Image | None
    landmarks: Landmarks


@dataclass(frozen=True)
class _Placement:
    """The portrait is scaled by `scale`, and its corner put at (`left_px`, `top_px`) of the frame."""

    scale: float
    left_px: int
    top_px: int

    def of(self, landmarks: Landmarks) -> Landmarks:
        moved: Landmarks = (landmarks + 0.5) * np.float32(self.scale) - 0.5
        moved[:, 0] += self.left_px
        moved[:, 1] += self.top_px
        moved[:, 2] = landmarks[:, 2] * self.scale
        return moved


class Framing:
    """How a source stands in frames of one size: its portrait, or the frames of its clip."""

    def __init__(self, source: AvatarSource, size: FrameSize) -> None:
        self._placement = _place(source, size)
        self._background = source.background
        self._size = size

    def picture(self, picture: Image) -> Image:
        """Return a picture as large as the portrait in its frame: over its background, or its own blurred edges."""
        return _paint(picture, self._background, self._size, self._placement)

    def landmarks(self, landmarks: Landmarks) -> Landmarks:
        """Return points [n, 3] of such a picture as they stand in the frame."""
        return self._placement.of(landmarks)


def frame_portrait(source: AvatarSource, size: FrameSize) -> Framed:
    """Return the portrait of `source` in a frame of `size`."""
    framing = Framing(source, size)
    closed = None if source.closed_eyes is None else framing.picture(source.closed_eyes)
    return Framed(framing.picture(source.portrait), closed, framing.landmarks(source.landmarks))


def _place(source: AvatarSource, size: FrameSize) -> _Placement:
    height, width = source.portrait.shape[:2]
    oval = source.landmarks[list(FACE_OVAL)]
    by_height, by_width = size.height / height, size.width / width
    if source.background is not None:
        scale = by_height
    else:
        # Rather crop than fill, as long as the face does not come too close.
        closest = _TALLEST_FACE * size.height / float(np.ptp(oval[:, 1]))
        scale = min(max(by_height, by_width), max(closest, min(by_height, by_width)))
    face_x, face_y = (oval[:, :2].min(0) + oval[:, :2].max(0)) / 2 * scale
    left = _offset(size.width, width * scale, face_x, 0.5)
    top = _offset(size.height, height * scale, face_y, 0.44)
    return _Placement(scale, left, top)


def _offset(frame: int, picture: float, face: float, face_at: float) -> int:
    """Return where the picture starts: centred if it is smaller, else with the face at `face_at` of the frame."""
    spare = frame - picture
    if spare >= 0:
        return round(spare / 2)
    return round(min(0.0, max(spare, frame * face_at - face)))


def _paint(picture: Image, background: Image | None, size: FrameSize, placement: _Placement) -> Image:
    scaled = _scaled(picture, placement.scale)
    if background is not None:
        scenery = _scaled(background, size.height / background.shape[0])
        canvas = _centred(scenery, size)
    else:
        canvas = np.empty((size.height, size.width, 3), np.uint8)
    top, left = placement.top_px, placement.left_px
    rows = slice(max(top, 0), min(top + scaled.shape[0], size.height))
    columns = slice(max(left, 0), min(left + scaled.shape[1], size.width))
    canvas[rows, columns] = scaled[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    if background is None and (rows.stop - rows.start, columns.stop - columns.start) != (size.height, size.width):
        return _fill_borders(canvas, rows, columns)
    return canvas


def _scaled(picture: Image, scale: float) -> Image:
    size = round(picture.shape[1] * scale), round(picture.shape[0] * scale)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(picture, size, interpolation=how)  # type: ignore[return-value]


def _centred(scenery: Image, size: FrameSize) -> Image:
    """Cut the middle of `scenery` to the frame, repeating its edges where it is too narrow."""
    missing = max(0, size.width - scenery.shape[1])
    wide = cv2.copyMakeBorder(scenery, 0, 0, -(-missing // 2), missing // 2, cv2.BORDER_REPLICATE)
    left = (wide.shape[1] - size.width) // 2
    tall = cv2.resize(wide, (wide.shape[1], size.height)) if wide.shape[0] != size.height else wide
    return np.ascontiguousarray(tall[:, left : left + size.width])


def _fill_borders(canvas: Image, rows: slice, columns: slice) -> Image:
    """Continue the picture in `rows` and `columns` to the edges of the canvas, blurred and without a visible seam."""
    height, width = canvas.shape[:2]
    borders = rows.start, height - rows.stop, columns.start, width - columns.stop
    inside = canvas[rows, columns]
    sigma = _BLUR * min(height, width)
    mirrored = cv2.copyMakeBorder(inside, *borders, cv2.BORDER_REPLICATE)
    blurred = cv2.GaussianBlur(mirrored, (0, 0), sigma)
    ramp_px = _SEAM * min(height, width)
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    top, bottom, left, right = (np.float32(border) for border in borders)
    weight = np.ones((height, width), np.float32)
    for border, distance in (
        (top, y - top),
        (bottom, height - bottom - 1 - y),
        (left, x - left),
        (right, width - right - 1 - x),
    ):
        if border:
            weight = weight * np.clip(distance / ramp_px, 0, 1)
    blended = blurred + (mirrored.astype(np.float32) - blurred) * weight[..., None]
    return cv2.convertScaleAbs(blended)  # type: ignore[return-value]
