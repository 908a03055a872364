"""One face followed through a film: found in every frame, guessed where it is missed for a moment, smoothed."""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.avatar.engine import MOTION_FPS, FaceMotion, Image, Tell
from services.avatar.face.types import Follower
from services.avatar.face.verdict import mouth_gap
from services.contract.errors import UnsuitableFace

LONGEST_GUESS_S = 0.5
"""A face that is missed for longer has left."""

FaceMesh = npt.NDArray[np.float32]
"""[468, 3]"""

_TAPS = 7
_SMOOTHED_AT_ONCE = 500
_TOLD_EVERY = MOTION_FPS


@dataclass(frozen=True)
class Followed:
    """A face through a film, and the picture of it with the mouth most closed."""

    landmarks: FaceMotion
    poster: Image
    guessed: int
    """Frames in which the face was not found."""


def follow_face(frames: Iterable[Image], follower: Follower, tell: Tell, expected: int) -> Followed:
    """Return the motion of the only face of a film of about `expected` frames.

    Raises `UnsuitableFace` where there is none, where there are several to begin with, or where it
    is away for longer than `LONGEST_GUESS_S`.
    """
    found: list[FaceMesh | None] = []
    poster, least_gap, missed = None, np.inf, 0
    for number, frame in enumerate(frames):
        points = follower.next(frame)
        found.append(None if points is None else points.astype(np.float32))
        missed = 0 if points is not None else missed + 1
        if missed > LONGEST_GUESS_S * MOTION_FPS:
            raise _away(number - missed + 1, seen_before=poster is not None)
        if points is not None and (gap := mouth_gap(points)) < least_gap:
            poster, least_gap = frame, gap
        if number % _TOLD_EVERY == 0:
            tell("faces", number, max(expected, number))
    if poster is None:
        raise _away(0, seen_before=False)
    landmarks = smoothed(interpolated(found))
    return Followed(landmarks, poster, sum(points is None for points in found))


def interpolated(found: list[FaceMesh | None]) -> FaceMotion:
    """Return the points of every frame, those that were missed on a straight line between their neighbours."""
    known = {number: points for number, points in enumerate(found) if points is not None}
    seen = list(known)
    motion = np.zeros((len(found), *known[seen[0]].shape), np.float32)
    for number, points in known.items():
        motion[number] = points
    for number in sorted(set(range(len(found))) - set(seen)):
        at = bisect.bisect(seen, number)
        before, after = seen[max(at - 1, 0)], seen[min(at, len(seen) - 1)]
        share = np.float32((number - before) / (after - before) if before < number < after else 0.0)
        motion[number] = motion[before] + (motion[after] - motion[before]) * share
    return motion


def smoothed(motion: FaceMotion) -> FaceMotion:
    """Return `motion` [frames, points, 3] under a Hann window of seven frames; nothing is moved in time."""
    weights = np.hanning(_TAPS + 2)[1:-1]
    weights = (weights / weights.sum()).astype(np.float32)
    reach = _TAPS // 2
    edge = ((reach, reach), (0, 0), (0, 0))
    result = np.zeros_like(motion)
    for at in range(0, len(motion), _SMOOTHED_AT_ONCE):
        first, last = max(0, at - reach), min(len(motion), at + _SMOOTHED_AT_ONCE + reach)
        padded = np.pad(motion[first:last], edge, mode="reflect", reflect_type="odd")[at - first :]
        rows = result[at : at + _SMOOTHED_AT_ONCE]
        for tap, weight in enumerate(weights):
            rows += weight * padded[tap : tap + len(rows)]
    return result


def _away(frame: int, *, seen_before: bool) -> UnsuitableFace:
    if not seen_before:
        told = "There is no face in the clip that we can find; send one of a person who looks into the camera."
    else:
        told = f"The face leaves the clip at {frame / MOTION_FPS:.1f} s; cut it so that the face is always there."
    return UnsuitableFace(told, param="picture")
