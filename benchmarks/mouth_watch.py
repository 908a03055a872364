"""Watches the mouth on the frames of a film, with a face mesh that the renderer has no part in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from services.avatar.engine import Image
from services.avatar.face.crop import Crop, Points, Square
from services.avatar.face.detector import Detector
from services.avatar.face.mesh import LEFT_EYE, RIGHT_EYE, tilt_of
from services.avatar.face.models import DETECTOR, MESH, load_models
from services.avatar.face.network import Network

_INNER_LIPS = ((13, 14), (82, 87), (312, 317))
_EYES = [RIGHT_EYE[0], LEFT_EYE[1]]
_MESH_PX = 192
_PASSES = 3

_ROOM = 1.7
"""Side of the region the mesh looks at, in sides of the face. At 1.5, as video tracking has it, the mesh takes
pursed lips for open ones; at 1.7 it follows lips of known opening best: r 0.93 instead of 0.88."""


class MouthWatcher:
    """Finds the mouth in frame after frame."""

    def __init__(self, models_dir: Path) -> None:
        models = load_models(models_dir / "face")
        self._detector = Detector(Network(models[DETECTOR]))
        self._mesh = Network(models[MESH])

    def gaps(self, frames: Iterable[Image]) -> npt.NDArray[np.float64]:
        """Return how far the inner lips are apart in each of `frames`, in eye distances."""
        return np.array(list(self._gaps(frames)))

    def _gaps(self, frames: Iterable[Image]) -> Iterator[float]:
        start = None
        for frame in frames:
            if start is None:
                start = self._detector.candidates(frame)[0].square
            points = self._fit(frame, start)[:, :2]
            eyes = np.linalg.norm(np.subtract(*points[_EYES]))
            yield float(np.mean([np.linalg.norm(points[above] - points[below]) for above, below in _INNER_LIPS]) / eyes)

    def _fit(self, frame: Image, region: Square) -> Points:
        for _ in range(_PASSES):
            crop = Crop(frame, region, _MESH_PX)
            points, _ = self._mesh(crop.pixels / 255)
            found = crop.to_picture(points.reshape(-1, 3).astype(np.float64))
            region = _around(found)
        return found


def _around(points: Points) -> Square:
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    centre = (low + high) / 2
    return Square((float(centre[0]), float(centre[1])), float((high - low).max()) * _ROOM, tilt_of(points[_EYES]))
