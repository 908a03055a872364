"""Watches the mouth on the frames of a film, with a face mesh that the renderer has no part in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from services.avatar.engine import Image
from services.avatar.face.detector import Detector
from services.avatar.face.mesh import Mesher
from services.avatar.face.models import DETECTOR, IRIS, MESH, load_models
from services.avatar.face.network import Network

_INNER_LIPS = ((13, 14), (82, 87), (312, 317))
_EYE_CORNERS = (33, 263)


class MouthWatcher:
    """Finds the mouth in frame after frame."""

    def __init__(self, models_dir: Path = Path("models")) -> None:
        models = load_models(models_dir / "face")
        self._detector = Detector(Network(models[DETECTOR]))
        self._mesher = Mesher(Network(models[MESH]), Network(models[IRIS]))

    def gaps(self, frames: Iterable[Image]) -> npt.NDArray[np.float64]:
        """Return how far the inner lips are apart in each of `frames`, in eye distances."""
        return np.array(list(self._gaps(frames)))

    def _gaps(self, frames: Iterable[Image]) -> Iterator[float]:
        region = None
        for frame in frames:
            if region is None:
                region = self._detector.candidates(frame)[0].square
            points = self._mesher.fit(frame, region).points[:, :2]
            eyes = np.linalg.norm(np.subtract(*points[list(_EYE_CORNERS)]))
            yield float(np.mean([np.linalg.norm(points[above] - points[below]) for above, below in _INNER_LIPS]) / eyes)
