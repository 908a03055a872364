"""Faces worked out in every n-th frame, and mixed of their neighbours between them."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

import cv2
import numpy as np

from services.avatar.engines.musetalk.batcher import Face, face_of


@dataclass(frozen=True)
class MixedFace:
    """A face that is `share` of the way from one generated face to another."""

    before: Future[Face]
    after: Future[Face]
    share: float

    def result(self) -> Face:
        """Wait for it; raises what making it failed with."""
        if self.share == 0:
            return face_of(self.before)
        mixed = cv2.addWeighted(face_of(self.before), 1 - self.share, face_of(self.after), self.share, 0.0)
        return mixed.astype(np.uint8, copy=False)

    def cancel(self) -> None:
        """Say that nobody wants it any more."""
        self.before.cancel()
        self.after.cancel()


class Interpolation:
    """The faces of one segment, asked for frame by frame; only every `skip`-th and the last are generated."""

    def __init__(self, generate: Callable[[int], Future[Face]], skip: int = 1, last: int | None = None) -> None:
        """`last` is the segment's last frame, where it is known."""
        self._generate = generate
        self._last = math.inf if last is None else last
        self._skip = skip
        self._generated: dict[int, Future[Face]] = {}

    def __call__(self, frame: int) -> MixedFace:
        """Return the face of a frame; frames must be asked for in order, but may be left out."""
        before = frame - frame % self._skip
        after = before if before == frame else int(min(before + self._skip, self._last))
        self._generated = {key: face for key, face in self._generated.items() if key >= before}
        for key in (before, after):
            if key not in self._generated:
                self._generated[key] = self._generate(key)
        share = (frame - before) / (after - before) if after > before else 0.0
        return MixedFace(self._generated[before], self._generated[after], share)
