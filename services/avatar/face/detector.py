"""Where there may be faces: MediaPipe's short-range detector, over the whole picture and over tiles of it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from services.avatar.engine import Image
from services.avatar.face.crop import Crop, Points, Square
from services.avatar.face.network import Network, Tensor

_INPUT_PX = 128
_LEAST_SCORE = 0.5
_SAME_FACE_OVERLAP = 0.3
_ROOM = 1.5
"""Side of the region a mesh wants, in sides of the detector's box."""

_PARTS = (1, 2, 4)
"""The whole picture is looked at, and tiles of a half and a quarter of its longer side."""

_CELLS_AND_BOXES = ((16, 2), (8, 6))


@dataclass(frozen=True)
class Candidate:
    """A region that looks like an upright face, and how much so, 0 to 1."""

    square: Square
    score: float


class Detector:
    """Finds faces from about a fifth of the picture's size on; tiles find smaller ones."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._anchors = _anchors()

    def candidates(self, picture: Image) -> list[Candidate]:
        """Return the likely faces of `picture`, best first, each once."""
        squares = itertools.chain.from_iterable(_tiles(picture, parts) for parts in _PARTS)
        found = [candidate for square in squares for candidate in self._look(picture, square)]
        return distinct(found)

    def _look(self, picture: Image, square: Square) -> list[Candidate]:
        crop = Crop(picture, square, _INPUT_PX)
        boxes, logits = self._network(crop.pixels / 127.5 - 1)
        scores = 1 / (1 + np.exp(-np.clip(logits, -80, 80)))
        likely = np.flatnonzero(scores > _LEAST_SCORE)
        return [self._candidate(crop, boxes.reshape(-1, 8, 2)[i], self._anchors[i], float(scores[i])) for i in likely]

    def _candidate(self, crop: Crop, box: Tensor, anchor: Points, score: float) -> Candidate:
        """`box` holds centre, size and six points: right eye, left eye, nose, mouth, ears; all in input pixels."""
        centre, right_eye, left_eye = crop.to_picture(box[[0, 2, 3]] + anchor * _INPUT_PX)
        corners = crop.to_picture(np.array([[0.0, 0.0], [float(box[1].max()), 0.0]]))
        side_px = float(np.linalg.norm(corners[1] - corners[0])) * _ROOM
        tilt = math.atan2(left_eye[1] - right_eye[1], left_eye[0] - right_eye[0])
        return Candidate(Square((float(centre[0]), float(centre[1])), side_px, tilt), score)


def distinct(candidates: list[Candidate]) -> list[Candidate]:
    """Return the best of those that overlap, best first."""
    kept: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda c: c.score, reverse=True):
        if all(_overlap(candidate.square, other.square) < _SAME_FACE_OVERLAP for other in kept):
            kept.append(candidate)
    return kept


def _overlap(a: Square, b: Square) -> float:
    """Return the shared area over the smaller one's, as if both were upright."""
    sides = [
        max(0.0, min(x + a.side_px / 2, y + b.side_px / 2) - max(x - a.side_px / 2, y - b.side_px / 2))
        for x, y in zip(a.centre, b.centre, strict=True)
    ]
    return sides[0] * sides[1] / min(a.side_px, b.side_px) ** 2


def _tiles(picture: Image, parts: int) -> Iterator[Square]:
    """Yield squares of the `parts`-th of the longer side that cover the picture, each half over its neighbour."""
    height, width = picture.shape[:2]
    side = max(width, height) / parts
    for y, x in itertools.product(_centres(height, side), _centres(width, side)):
        yield Square((x, y), side)


def _centres(length: float, side: float) -> list[float]:
    if length <= side:
        return [length / 2]
    count = math.ceil(2 * (length - side) / side) + 1
    return [float(at) for at in np.linspace(side / 2, length - side / 2, count)]


def _anchors() -> Points:
    """Return the 896 box centres [896, 2] the detector's answers count from, as shares of its input."""
    rows: list[Points] = []
    for cells, boxes in _CELLS_AND_BOXES:
        steps = (np.arange(cells) + 0.5) / cells
        grid = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
        rows.append(np.repeat(grid, boxes, axis=0))
    return np.concatenate(rows)
