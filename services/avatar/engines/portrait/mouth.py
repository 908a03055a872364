"""From an articulation to one mouth per frame: lips that truly meet, and never move faster than lips do."""

from __future__ import annotations

import math

import numpy as np

from services.avatar.engines.portrait.articulation import Articulation
from services.avatar.engines.portrait.easing import smoothstep
from services.avatar.engines.portrait.expression import MOUTH_SHAPES, MouthTrack
from services.avatar.engines.portrait.instants import Floats, Instants

_JAW, _WIDE, _ROUND, _UP, _LOW, _PRESS, _BITE, _SMILE, _TONGUE = range(len(MOUTH_SHAPES))
_APERTURE = [_JAW, _UP, _LOW]

_OPENING_PER_S = np.array([9.0, 6.0, 6.0])
_CLOSING_PER_S = np.array([12.0, 8.0, 8.0])

_PARTING_S, _CLOSED = 0.11, 0.98
"""Closed lips are fully open this much later at the earliest."""


def frame_mouths(articulation: Articulation, instants: Instants) -> MouthTrack:
    """Return the mouth of each frame, [frames, 9]."""
    mouth = instants.by_frame(articulation.weights).mean(axis=1)
    closed = _held(articulation.closed, instants)
    bitten = _held(articulation.bitten, instants)
    mouth[:, _APERTURE] *= ((1 - closed) * (1 - 0.85 * bitten))[:, None]
    mouth[:, _APERTURE] = np.minimum(mouth[:, _APERTURE], _parting(closed, float(instants.fps))[:, None])
    mouth[:, _APERTURE] = _limit_speed(mouth[:, _APERTURE], float(instants.fps))
    mouth[:, _PRESS] = np.maximum(mouth[:, _PRESS] * closed, 0.8 * closed)
    mouth[:, _BITE] = bitten * (1 - closed)
    mouth[:, _ROUND] *= (1 - 0.25 * bitten) * (1 - 0.5 * closed)  # pressed lips spread
    mouth[:, _TONGUE] *= 1 - closed
    track: MouthTrack = mouth.astype(np.float32)
    return track


def _held(contact: Floats, instants: Instants) -> Floats:
    """Return the contact of each frame, from its middle half; what is as good as closed is closed."""
    margin = instants.steps_per_frame // 4
    steps = instants.by_frame(contact)
    held: Floats = steps[:, margin : instants.steps_per_frame - margin].mean(axis=1) / 0.92
    return np.minimum(held, 1)


def _parting(closed: Floats, fps: float) -> Floats:
    """Return how far open each frame may be: lips that were closed part slowly first, then fast."""
    widest = np.full(len(closed), np.inf)
    for shift in range(1, math.ceil(_PARTING_S * fps)):
        eased = float(smoothstep(np.array(shift / fps / _PARTING_S)))
        widest[shift:] = np.where(closed[:-shift] > _CLOSED, np.minimum(widest[shift:], eased), widest[shift:])
    return widest


def _limit_speed(aperture: Floats, fps: float) -> Floats:
    """Hold back what opens or closes faster than lips do, never moving a frame that is nearly closed.

    A frame may be at most as open as a neighbour k frames before (after) it plus what k frames of
    opening (closing) allow: the lower envelope of cones, so closures stay complete.
    """
    limited: Floats = aperture.copy()
    for shift in range(1, math.ceil(fps / float(_OPENING_PER_S.min()))):
        limited[shift:] = np.minimum(limited[shift:], aperture[:-shift] + _OPENING_PER_S * shift / fps)
        limited[:-shift] = np.minimum(limited[:-shift], aperture[shift:] + _CLOSING_PER_S * shift / fps)
    return limited
