"""Whether a face can be animated, and what will look less good than it could."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from services.avatar.face.crop import Points
from services.contract.errors import UnsuitableFace

LEAST_EYE_DISTANCE_PX = 30
GOOD_EYE_DISTANCE_PX = 100
GOOD_TURN_DEG, MOST_TURN_DEG = 20, 45
GOOD_GAP = 0.2
"""Gap between the lips, in eye distances: teeth show from about 0.1 on."""

_OUTER_EYE_CORNERS = (33, 263)
_CHEEKS = (234, 454)
_INNER_LIPS = (13, 14)
_LIPS_AND_EYES = (61, 291, 0, 17, 33, 133, 362, 263)


def eye_distance_px(points: Points) -> float:
    """Return the distance between the outer corners of the eyes, turned or not."""
    return _distance(points, _OUTER_EYE_CORNERS)


def mouth_gap(points: Points) -> float:
    """Return the gap between the lips, in eye distances."""
    return _distance(points, _INNER_LIPS) / eye_distance_px(points)


def check(points: Points, shape: Sequence[int]) -> None:
    """Raise `UnsuitableFace` when the face `points` [n, 3] of a picture of `shape` cannot be animated."""
    if eye_distance_px(points) < LEAST_EYE_DISTANCE_PX:
        raise UnsuitableFace(
            "The face is too small; send a picture in which it fills more of the frame.", param="picture"
        )
    if _turn_deg(points) > MOST_TURN_DEG:
        raise UnsuitableFace("The face is turned away; send a picture of it looking into the camera.", param="picture")
    if not _inside(points[list(_LIPS_AND_EYES)], shape).all():
        raise UnsuitableFace("Eyes or mouth are cut off; send a picture that shows the whole face.", param="picture")


def warnings_of(points: Points, shape: Sequence[int]) -> Iterator[str]:
    """Yield what will look less good than it could, in sentences."""
    eye_distance = eye_distance_px(points)
    if eye_distance < GOOD_EYE_DISTANCE_PX:
        yield (
            f"The face is small: {eye_distance:.0f} pixels between the eyes' outer corners. "
            f"It will look soft in large films; {GOOD_EYE_DISTANCE_PX} or more are better."
        )
    if _turn_deg(points) > GOOD_TURN_DEG:
        yield f"The face is turned by {_turn_deg(points):.0f} degrees; one that looks into the camera moves better."
    if mouth_gap(points) > GOOD_GAP:
        yield "The mouth is open in the picture; closed or gently smiling lips can be animated better."
    if not _inside(points, shape).all():
        yield "The face is partly cut off; a picture that shows all of it with some room around looks better."


def _turn_deg(points: Points) -> float:
    """Return how far the face is turned to either side, from the depth of its cheeks."""
    across = points[_CHEEKS[1]] - points[_CHEEKS[0]]
    return abs(math.degrees(math.atan2(across[2], math.hypot(across[0], across[1]))))


def _distance(points: Points, pair: tuple[int, int]) -> float:
    return float(np.linalg.norm(points[pair[1]] - points[pair[0]]))


def _inside(points: Points, shape: Sequence[int]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    height, width = shape[:2]
    inside: np.ndarray[tuple[int], np.dtype[np.bool_]] = np.all(
        (points[:, :2] >= 0) & (points[:, :2] < (width, height)), axis=1
    )
    return inside
