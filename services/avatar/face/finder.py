"""The one face of a picture, and whether it can be animated well."""

from __future__ import annotations

from pathlib import Path
from threading import Lock

import numpy as np

from services.avatar.engine import Image
from services.avatar.face.crop import Points
from services.avatar.face.detector import Detector
from services.avatar.face.mesh import Mesh, Mesher
from services.avatar.face.models import DETECTOR, IRIS, MESH, load_models
from services.avatar.face.network import Network
from services.avatar.face.types import Face
from services.avatar.face.verdict import check, eye_distance_px, warnings_of
from services.contract.errors import UnsuitableFace

_LEAST_PRESENCE = 0.7
_FARTHEST_MOVE = 2.0
"""In eye distances: a face that is found again farther away is another one."""
_BYSTANDER = 0.35
"""Faces smaller than this share of the largest one, by eye distance, are taken for background."""


class MeshFaceFinder:
    """Finds faces with MediaPipe's networks, which are loaded when the first picture comes.

    Safe to share between threads.
    """

    def __init__(self, models_dir: Path) -> None:
        self._folder = models_dir / "face"
        self._lock = Lock()
        self._networks: tuple[Detector, Mesher] | None = None

    def find(self, picture: Image) -> Face:
        """Return the one face of `picture`.

        Raises `UnsuitableFace` when there is none, several, or one that cannot be animated, and
        `Unavailable` when the model files cannot be had.
        """
        detector, mesher = self._load()
        mesh = _only_face(_faces([mesher.fit(picture, c.square) for c in detector.candidates(picture)]))
        check(mesh.points, picture.shape)
        landmarks = np.concatenate([mesh.points, mesher.irises(picture, mesh)])
        return Face(landmarks.astype(np.float32), tuple(warnings_of(mesh.points, picture.shape)))

    def follower(self) -> FaceFollower:
        """Return a follower for the face of one film; raises `Unavailable` when the model files cannot be had."""
        return FaceFollower(*self._load())

    def _load(self) -> tuple[Detector, Mesher]:
        with self._lock:
            if self._networks is None:
                models = load_models(self._folder)
                self._networks = (
                    Detector(Network(models[DETECTOR])),
                    Mesher(Network(models[MESH]), Network(models[IRIS])),
                )
            return self._networks


class FaceFollower:
    """Finds the same face in frame after frame: near where it was, else anywhere."""

    def __init__(self, detector: Detector, mesher: Mesher) -> None:
        self._detector = detector
        self._mesher = mesher
        self._last: Mesh | None = None
        self._lost = True

    def next(self, picture: Image) -> Points | None:
        """Return the mesh [468, 3] of the face in the next frame, or None where it is missed.

        Raises `UnsuitableFace` when the first frame with a face has several.
        """
        mesh = self._near(picture) or self._anywhere(picture)
        self._lost = mesh is None
        if mesh is None:
            return None
        self._last = mesh
        return mesh.points

    def _near(self, picture: Image) -> Mesh | None:
        if self._last is None or self._lost:
            return None
        mesh = self._mesher.follow(picture, self._last)
        return mesh if mesh.presence >= _LEAST_PRESENCE else None

    def _anywhere(self, picture: Image) -> Mesh | None:
        candidates = self._detector.candidates(picture)
        faces = _faces([self._mesher.fit(picture, candidate.square) for candidate in candidates])
        if not faces:
            return None
        if self._last is None:
            return _only_face(faces)
        nearest = min(faces, key=self._moved)
        return nearest if self._moved(nearest) < _FARTHEST_MOVE * _size_px(self._last) else None

    def _moved(self, mesh: Mesh) -> float:
        assert self._last is not None
        return float(np.linalg.norm((mesh.points - self._last.points)[:, :2].mean(axis=0)))


def _faces(meshes: list[Mesh]) -> list[Mesh]:
    """Return those that are faces, the largest first."""
    return sorted((mesh for mesh in meshes if mesh.presence >= _LEAST_PRESENCE), key=_size_px, reverse=True)


def _only_face(faces: list[Mesh]) -> Mesh:
    """Return the only face that matters, of some with the largest first. Raises `UnsuitableFace`."""
    if not faces:
        raise UnsuitableFace(
            "There is no face in the picture that we can find; send a photo of one person who looks into the camera.",
            param="picture",
        )
    seen = [face for face in faces if _size_px(face) >= _BYSTANDER * _size_px(faces[0])]
    if len(seen) > 1:
        raise UnsuitableFace(
            f"There are {len(seen)} faces in the picture; cut out the one who should speak.", param="picture"
        )
    return faces[0]


def _size_px(mesh: Mesh) -> float:
    return eye_distance_px(mesh.points)
