"""Where things are in a face: MediaPipe's landmark numbers, and the coordinates of the mouth.

Source of the numbers: the canonical face mesh of MediaPipe (468 points, and 10 of the irises).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.avatar.engine import Landmarks
from services.avatar.engines.face_mesh import FACE_OVAL

Points = npt.NDArray[np.float64]
"""[n, 2], x right and y down."""

UPPER_OUTER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
LOWER_OUTER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
UPPER_INNER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LOWER_INNER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)

JAWLINE = {
    **{152: 1.0, 148: 0.98, 377: 0.98, 176: 0.93, 400: 0.93, 149: 0.84, 378: 0.84, 150: 0.70, 379: 0.70},
    **{136: 0.52, 365: 0.52, 172: 0.34, 397: 0.34, 58: 0.18, 288: 0.18, 132: 0.07, 361: 0.07},
}
"""How much of the jaw's drop each point of the jaw line takes part in."""

CHEEKS = (205, 425, 207, 427, 216, 436, 206, 426, 187, 411, 192, 416, 214, 434, 212, 432)

SKULL = (
    *(1, 2, 4, 5, 6, 8, 9, 168, 195, 197, 98, 327, 64, 294, 48, 278, 129, 358, 50, 280),
    *(117, 346, 118, 347, 119, 348, 116, 345, 123, 352, 33, 133, 362, 263, 145, 374, 130, 359),
    *(55, 285, 65, 295, 52, 282, 10, 151, 67, 297),
)
"""Points that no movement of the jaw or the lips reaches."""

NOSE_TIP, FOREHEAD, CHIN = 1, 10, 152
IRIS_LEFT, IRIS_RIGHT = 468, 473
MOUTH_LEFT, MOUTH_RIGHT = 61, 291


@dataclass(frozen=True)
class EyeIndices:
    """Contours of one eye, from one corner to the other, and its brow."""

    upper: tuple[int, ...]
    lower: tuple[int, ...]
    brow: tuple[int, ...]
    iris: int


EYES = (
    EyeIndices(
        (33, 246, 161, 160, 159, 158, 157, 173, 133),
        (33, 7, 163, 144, 145, 153, 154, 155, 133),
        (70, 63, 105, 66, 107),
        IRIS_LEFT,
    ),
    EyeIndices(
        (362, 398, 384, 385, 386, 387, 388, 466, 263),
        (362, 382, 381, 380, 374, 373, 390, 249, 263),
        (336, 296, 334, 293, 300),
        IRIS_RIGHT,
    ),
)


@dataclass(frozen=True)
class Face:
    """Landmarks of one picture, and the mouth's own coordinates.

    Mouth coordinates (u, v) count from between the inner corners in half mouth widths: u along the
    mouth to the image right, v down the face.
    """

    points: Points
    """[478, 2] in pixels."""
    depth: npt.NDArray[np.float64]
    """[478] in eye distances toward the viewer, 0 for the middle of the face oval."""
    origin: Points
    """[2]"""
    axes: Points
    """[2, 2]: rows are the unit vectors of u and v."""
    half_mouth_px: float
    eye_distance_px: float

    def to_mouth(self, points: Points) -> Points:
        """Return `points` [..., 2], in pixels, in mouth coordinates."""
        mouth: Points = (points - self.origin) @ self.axes.T / self.half_mouth_px
        return mouth

    def to_pixels(self, points: Points) -> Points:
        """Return `points` [..., 2], in mouth coordinates, in pixels."""
        pixels: Points = points @ self.axes * self.half_mouth_px + self.origin
        return pixels

    def directions_to_pixels(self, directions: Points) -> Points:
        """Return displacements [..., 2], in half mouth widths, in pixels."""
        pixels: Points = directions @ self.axes * self.half_mouth_px
        return pixels


def face_of(landmarks: Landmarks) -> Face:
    """Return the face that `landmarks` describe."""
    points = landmarks[:, :2].astype(np.float64)
    across = points[MOUTH_RIGHT] - points[MOUTH_LEFT]
    half_mouth_px = float(np.linalg.norm(across)) / 2
    right = across / (2 * half_mouth_px)
    eye_distance_px = float(np.linalg.norm(points[IRIS_RIGHT] - points[IRIS_LEFT]))
    z = landmarks[:, 2].astype(np.float64)
    return Face(
        points=points,
        depth=(np.median(z[list(FACE_OVAL)]) - z) / eye_distance_px,
        origin=(points[UPPER_INNER[0]] + points[UPPER_INNER[-1]]) / 2,
        axes=np.stack([right, [-right[1], right[0]]]),
        half_mouth_px=half_mouth_px,
        eye_distance_px=eye_distance_px,
    )


def height_along(x: npt.NDArray[np.float32], contour: Points) -> npt.NDArray[np.float32]:
    """Return how far down `contour` [n, 2] is at each of `x`, level beyond its ends."""
    order = np.argsort(contour[:, 0])
    heights: npt.NDArray[np.float32] = np.interp(x, contour[order, 0], contour[order, 1]).astype(np.float32)
    return heights
