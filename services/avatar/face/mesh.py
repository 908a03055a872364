"""The 478 landmarks of a face whose place is roughly known: a mesh of 468 points, and the irises."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from services.avatar.engine import Image
from services.avatar.face.crop import Crop, Points, Square
from services.avatar.face.network import Network

_MESH_PX = 192
_IRIS_PX = 64
_MESH_POINTS, _IRIS_POINTS = 468, 5
_ROOM_AROUND_MESH = 1.5
_ROOM_AROUND_EYE = 2.3
_REFINEMENTS = 2

RIGHT_EYE, LEFT_EYE = (33, 133), (362, 263)
"""Corners of the eyes, image left to right. The person's right eye is at the image's left."""


@dataclass(frozen=True)
class Mesh:
    """Points [468, 3] and how sure it is that they are a face, 0 to 1."""

    points: Points
    presence: float


class Mesher:
    """Fits a face mesh, then the irises."""

    def __init__(self, mesh: Network, iris: Network) -> None:
        self._mesh = mesh
        self._iris = iris

    def fit(self, picture: Image, region: Square) -> Mesh:
        """Return the mesh of the face in `region`, refined from its own outline as video tracking does."""
        mesh = self._fit_once(picture, region)
        for _ in range(_REFINEMENTS):
            mesh = self._fit_once(picture, _region_of(mesh.points))
        return mesh

    def follow(self, picture: Image, last: Mesh) -> Mesh:
        """Return the mesh of the face that was at `last` a moment ago."""
        return self._fit_once(picture, _region_of(last.points))

    def irises(self, picture: Image, mesh: Mesh) -> Points:
        """Return the ten iris points, image left first: each centre, then right, top, left and bottom of its rim."""
        right = self._fit_iris(picture, mesh.points[list(RIGHT_EYE)], mirrored=False)
        left = self._fit_iris(picture, mesh.points[list(LEFT_EYE)], mirrored=True)
        return np.concatenate([right, left])

    def _fit_once(self, picture: Image, region: Square) -> Mesh:
        crop = Crop(picture, region, _MESH_PX)
        points, presence = self._mesh(crop.pixels / 255)
        # Far from any face the outputs are arbitrary; the presence says so.
        return Mesh(
            crop.to_picture(points.reshape(_MESH_POINTS, 3).astype(np.float64)),
            1 / (1 + math.exp(-max(-80.0, min(80.0, float(presence[0]))))),
        )

    def _fit_iris(self, picture: Image, corners: Points, *, mirrored: bool) -> Points:
        """The network knows one side's eye; the other one is shown to it mirrored."""
        centre = corners[:, :2].mean(axis=0)
        side_px = float(np.linalg.norm(corners[1, :2] - corners[0, :2])) * _ROOM_AROUND_EYE
        crop = Crop(picture, Square((float(centre[0]), float(centre[1])), side_px, tilt_of(corners)), _IRIS_PX)
        seen = crop.pixels[:, ::-1] if mirrored else crop.pixels
        _, iris = self._iris(seen / 255)
        points = iris.reshape(_IRIS_POINTS, 3).astype(np.float64)
        if mirrored:
            points[:, 0] = _IRIS_PX - points[:, 0]
            points[[1, 3]] = points[[3, 1]]
        placed = crop.to_picture(points)
        placed[:, 2] = corners[:, 2].mean()
        return placed


def tilt_of(corners: Points) -> float:
    """Return the tilt, clockwise, of the line from the first to the last of some points, in radians."""
    across = corners[-1] - corners[0]
    return math.atan2(float(across[1]), float(across[0]))


def _region_of(points: Points) -> Square:
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    centre = (low + high) / 2
    side_px = max(8.0, float((high - low).max()) * _ROOM_AROUND_MESH)
    tilt = tilt_of(points[[RIGHT_EYE[0], LEFT_EYE[1]]])
    return Square((float(centre[0]), float(centre[1])), side_px, tilt)
