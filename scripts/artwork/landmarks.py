"""Landmarks of a drawn face: lips, eyes and irises from the drawing itself, the rest from the face mesh."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from scripts.artwork.brush import MIDDLE_X, sample
from scripts.artwork.features import EYE_X, EYE_Y, IRIS_RADIUS, lower_edge, lower_lid, seam, upper_edge, upper_lid
from scripts.artwork.person import Person
from services.avatar.engine import Landmarks
from services.avatar.engines.portrait.geometry import (
    EYES,
    LOWER_INNER,
    LOWER_OUTER,
    UPPER_INNER,
    UPPER_OUTER,
)

Points = npt.NDArray[np.float64]

_ALONG_LIPS = np.array([-1, -0.83, -0.62, -0.42, -0.2, 0, 0.2, 0.42, 0.62, 0.83, 1])
"""Where the mesh has its points along the mouth, in half widths."""

_INNER_REACH = 0.92
_DENSE = 400


def place_features(mesh: Landmarks, person: Person, scale: float) -> Landmarks:
    """Return `mesh` [478, 3] with the points of lips and eyes where they were drawn; `scale` is pixels per unit."""
    placed = mesh.copy()
    for indices, points in _drawn(person):
        placed[list(indices), :2] = points * scale - 0.5
    return placed


def _drawn(person: Person) -> list[tuple[tuple[int, ...], Points]]:
    look = person.lips
    middle = _along(seam(look), look.half, _INNER_REACH)
    left, right = EYES
    upper, lower = sample(upper_lid(person.eyes), 9), sample(lower_lid(person.eyes), 9)
    return [
        (UPPER_OUTER, _along(upper_edge(look), look.half, 1.0)),
        (LOWER_OUTER, _along(lower_edge(look), look.half, 1.0)),
        (UPPER_INNER, middle),
        (LOWER_INNER, middle),
        (left.upper, upper),
        (left.lower, lower),
        (right.upper, _mirrored(upper)[::-1]),
        (right.lower, _mirrored(lower)[::-1]),
        (tuple(range(left.iris, left.iris + 5)), _iris(EYE_X)),
        (tuple(range(right.iris, right.iris + 5)), _iris(2 * MIDDLE_X - EYE_X)),
    ]


def _along(notation: str, half: float, reach: float) -> Points:
    """Return the points of a curve from corner to corner at the mesh's places."""
    curve = sample(notation, _DENSE)
    x = MIDDLE_X + half * reach * _ALONG_LIPS
    return np.column_stack([x, np.interp(x, curve[:, 0], curve[:, 1])])


def _mirrored(points: Points) -> Points:
    return np.column_stack([2 * MIDDLE_X - points[:, 0], points[:, 1]])


def _iris(x: float) -> Points:
    y, r = EYE_Y - 1, IRIS_RADIUS
    return np.array([(x, y), (x + r, y), (x, y - r), (x - r, y), (x, y + r)])
