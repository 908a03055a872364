"""Puts a generated face back into its frame, so that no edge is seen.

Only a square around the face is touched. All boxes are (left, top, right, bottom) in pixels, right and
bottom exclusive.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from services.avatar.engine import Image

Box = tuple[int, int, int, int]
Mask = npt.NDArray[np.uint8]
"""[height, width], 0..255."""

_EXPANSION = 1.5
_KEPT_BELOW = 0.5
_BLUR = 0.1


@dataclass(frozen=True)
class Patch:
    """Where a face goes, and how much of it is seen."""

    face_box: Box
    mask_box: Box
    """Where the mask lies: to begin with a square around the face, which may reach over the frame's edges."""
    mask: Mask
    """Opacity, [height, width] of the mask's box; nothing is seen beyond it."""

    def trimmed(self) -> Patch:
        """Return the same without what shows nothing."""
        left, top, right, bottom = _shared(self.face_box, self.mask_box)
        x, y = self.mask_box[:2]
        mask = self.mask[top - y : bottom - y, left - x : right - x]
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if not rows.size:
            return replace(self, mask_box=(left, top, left, top), mask=mask[:0, :0])
        kept = (left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1)
        seen = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        return replace(self, mask_box=_ints(kept), mask=np.ascontiguousarray(seen))


def crop_box_of(face: Box) -> Box:
    """Return the square around a face box: half its side is half again half of the box's longer side."""
    left, top, right, bottom = face
    half = int(max(right - left, bottom - top) // 2 * _EXPANSION)
    x, y = (left + right) // 2, (top + bottom) // 2
    return x - half, y - half, x + half, y + half


def patch_of(face: Box, segmentation: Mask) -> Patch:
    """Return the patch for a face box, given which pixels of the square around it are face.

    `segmentation` [any height, any width] covers the square. Of the face only what lies in the box and
    in the lower half of the square is kept, with soft edges.
    """
    square = crop_box_of(face)
    width, height = square[2] - square[0], square[3] - square[1]
    resized = np.asarray(Pillow.fromarray(segmentation).resize((width, height)))
    left, top, right, bottom = face[0] - square[0], face[1] - square[1], face[2] - square[0], face[3] - square[1]
    kept = np.zeros((height, width), np.uint8)
    from_row = max(top, int(height * _KEPT_BELOW))
    kept[from_row:bottom, left:right] = resized[from_row:bottom, left:right]
    kernel = int(_BLUR * width // 2 * 2) + 1
    return Patch(face, square, cv2.GaussianBlur(kept, (kernel, kernel), 0).astype(np.uint8, copy=False))


def blend(frame: Image, face: Image, patch: Patch, opacity: float = 1.0) -> None:
    """Put `face`, any size, into `frame` where `patch` says; the frame is changed in place."""
    left, top, right, bottom = patch.face_box
    resized = cv2.resize(face, (right - left, bottom - top)) if face.shape[:2] != (bottom - top, right - left) else face
    from_x, from_y, to_x, to_y = _shared(patch.face_box, patch.mask_box)
    x, y = patch.mask_box[:2]
    mask = patch.mask[from_y - y : to_y - y, from_x - x : to_x - x, None].astype(np.uint16)
    if opacity < 1:
        mask = np.rint(mask * opacity).astype(np.uint16)
    region = frame[from_y:to_y, from_x:to_x]
    mixed = region * (255 - mask) + resized[from_y - top : to_y - top, from_x - left : to_x - left] * mask + 128
    region[...] = ((mixed >> 8) + mixed) >> 8  # a division by 255, rounded


def _shared(one: Box, other: Box) -> Box:
    """Return the part of two boxes that lies in both."""
    return max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])


def _ints(box: Sequence[int]) -> Box:
    left, top, right, bottom = map(int, box)
    return left, top, right, bottom
