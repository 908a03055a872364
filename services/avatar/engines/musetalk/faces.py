"""Where in a frame the generated face goes, from landmarks: MuseTalk's box rule, and a mask of the jaw line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from services.avatar.engine import Image, Landmarks
from services.avatar.engines.face_mesh import FACE_OVAL, NOSE_BRIDGE_END
from services.avatar.engines.musetalk.blending import Box, Mask, Patch, crop_box_of, patch_of
from services.avatar.engines.musetalk.generation import FACE_SIDE_PX
from services.contract.errors import UnsuitableFace

_SMALLEST_FACE_PX = 24
_SEGMENTATION_SIDE_PX = 512
_GROWTH_PX = 11
"""In the segmentation: how far the jaw grows, and the cheeks shrink, so that a mouth that opens has room."""

Parsing = Literal["jaw", "raw"]


@dataclass(frozen=True)
class FaceOptions:
    """What of a frame is generated anew; MuseTalk's own parameters, with its defaults."""

    bbox_shift: int = 0
    """Pixels by which the middle of the face is moved down; in v1 only."""
    extra_margin: int = 10
    """Pixels below the chin; in v1.5 only."""
    parsing: Parsing = "jaw"
    """`raw`: the face as it is. `jaw`: with room below the jaw, and narrower at the cheeks."""
    left_cheek: int = 90
    right_cheek: int = 90
    """How far from the middle the cheeks begin, where the square around the face is 512 wide."""


def face_box(landmarks: Landmarks, width: int, height: int, options: FaceOptions, *, v1: bool = False) -> Box:
    """Return the box of the face, which reaches as far above the end of the nose's bridge as below it.

    Raises `UnsuitableFace` where too little of it lies in the frame.
    """
    outline = landmarks[list(FACE_OVAL), :2]
    left, right = float(outline[:, 0].min()), float(outline[:, 0].max())
    chin = float(outline[:, 1].max())
    middle = float(landmarks[NOSE_BRIDGE_END, 1]) + (options.bbox_shift if v1 else 0)
    top, bottom = middle - (chin - middle), chin + (0 if v1 else options.extra_margin)
    box = (max(0, int(left)), max(0, int(top)), min(width, int(right)), min(height, int(bottom)))
    if min(box[2] - box[0], box[3] - box[1]) < _SMALLEST_FACE_PX:
        raise UnsuitableFace(
            f"The face is smaller than {_SMALLEST_FACE_PX} pixels in a frame of {width}x{height}; "
            "ask for larger frames, or use a picture with a larger face."
        )
    return box


def face_crop(frame: Image, box: Box) -> npt.NDArray[np.uint8]:
    """Return the face as the networks take it: [256, 256, 3], BGR."""
    left, top, right, bottom = box
    crop = cv2.resize(frame[top:bottom, left:right], (FACE_SIDE_PX, FACE_SIDE_PX), interpolation=cv2.INTER_LANCZOS4)
    return crop.astype(np.uint8, copy=False)


def face_patch(landmarks: Landmarks, box: Box, options: FaceOptions) -> Patch:
    """Return where the generated face is seen: inside the face's outline, in place of a face segmentation."""
    square = crop_box_of(box)
    scale = _SEGMENTATION_SIDE_PX / (square[2] - square[0])
    outline = (landmarks[list(FACE_OVAL), :2] - np.array(square[:2], np.float32)) * np.float32(scale)
    face = np.zeros((_SEGMENTATION_SIDE_PX, _SEGMENTATION_SIDE_PX), np.uint8)
    cv2.fillPoly(face, [np.rint(outline).astype(np.int32)], 255)
    return patch_of(box, _with_jaw(face, options) if options.parsing == "jaw" else face)


def _with_jaw(face: Mask, options: FaceOptions) -> Mask:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _GROWTH_PX + 1, 2 * _GROWTH_PX + 1))
    grown, shrunk = cv2.dilate(face, kernel), cv2.erode(face, kernel)
    middle = _SEGMENTATION_SIDE_PX // 2
    jaw = np.zeros_like(face)
    jaw[:, max(0, middle - options.left_cheek) : middle + options.right_cheek] = 255
    return np.where(jaw == 255, grown, shrunk).astype(np.uint8)
