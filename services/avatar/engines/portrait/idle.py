"""What a face does by itself: it sways, breathes, blinks, looks about.

Everything here is a pure function of the film's time and a seed, [frames] in and [frames] out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from services.avatar.engines.portrait.easing import smoothstep
from services.avatar.engines.portrait.instants import Floats
from services.avatar.engines.portrait.noise import Cells, uniform, wander

_BLINK_CELL_S = 3.7
"""One blink, sometimes two, in each stretch of this length: 16 to 19 a minute."""

_DOUBLE_BLINKS = 0.12
_CLOSING_S, _CLOSED_S, _OPENING_S = 0.075, 0.035, 0.17

_GAZE_CELL_S = _BLINK_CELL_S / 3
"""One fixation begins in each stretch of this length; blinks and gaze share their cells."""

_AT_VIEWER = 0.62
_SACCADE_S = 0.045

_BREATH_S = 4.3


@dataclass(frozen=True)
class Idle:
    """The face at rest, each field [frames]; units as in `HeadPose` and `Expression`."""

    x: Floats
    y: Floats
    roll: Floats
    yaw: Floats
    pitch: Floats
    blink: Floats
    gaze_x: Floats
    gaze_y: Floats
    brow: Floats
    breath: Floats
    smile: Floats


def idle(times_s: Floats, seed: int) -> Idle:
    """Return what the face does at `times_s`, counted from the start of the film."""
    gaze_x, gaze_y = _gaze(times_s, seed)
    blink = _blink(times_s, seed)
    return Idle(
        x=0.008 * _sway(times_s, 4.9, seed, "x"),
        y=0.005 * _sway(times_s, 4.3, seed, "y"),
        roll=0.012 * _sway(times_s, 5.7, seed, "roll"),
        yaw=0.034 * _sway(times_s, 4.1, seed, "yaw") + 0.02 * _follow(times_s, seed),
        pitch=0.020 * _sway(times_s, 3.7, seed, "pitch"),
        blink=blink,
        gaze_x=gaze_x,
        gaze_y=gaze_y + 0.1 * blink,
        brow=0.10 * _sway(times_s, 3.1, seed, "brow") - 0.06 * blink,
        breath=_breath(times_s, seed),
        smile=0.20 + 0.05 * wander(times_s, 6.1, seed, "smile"),
    )


def _sway(times_s: Floats, period_s: float, seed: int, purpose: str) -> Floats:
    """Return a path in [-1, 1]: a slow drift with a quicker, smaller one on top."""
    quick = wander(times_s, period_s * 0.31, seed, purpose + " quick")
    return 0.8 * wander(times_s, period_s, seed, purpose) + 0.2 * quick


def _breath(times_s: Floats, seed: int) -> Floats:
    """Return 0 breathed out to 1 breathed in; breathing in is quicker, and no breath is like the last."""
    phase = times_s / _BREATH_S + 0.25 * wander(times_s, 7.3, seed, "breath")
    phase -= np.floor(phase)
    rising = phase < 0.4
    turn = np.where(rising, phase / 0.4, 1 + (phase - 0.4) / 0.6)
    depth = 0.85 + 0.15 * wander(times_s, 9.1, seed, "breath depth")
    breath: Floats = depth * (1 - np.cos(np.pi * turn)) / 2
    return breath


def _blink_start_s(cell: Cells, seed: int) -> Floats:
    start_s: Floats = (cell + 0.08 + 0.72 * uniform(cell, seed, "blink")) * _BLINK_CELL_S
    return start_s


def _lids(since_s: Floats) -> Floats:
    """Return how closed the eyes are `since_s` after a blink began: quick to close, slower to open."""
    closing = since_s / _CLOSING_S
    opening = 1 - (since_s - _CLOSING_S - _CLOSED_S) / _OPENING_S
    return smoothstep(np.minimum(closing, opening))


def _blink(times_s: Floats, seed: int) -> Floats:
    here = np.floor(times_s / _BLINK_CELL_S).astype(np.int64)
    closed = np.zeros_like(times_s)
    for cell in (here - 1, here):
        since_s = times_s - _blink_start_s(cell, seed)
        closed = np.maximum(closed, _lids(since_s))
        again = uniform(cell, seed, "double") < _DOUBLE_BLINKS
        closed = np.maximum(closed, np.where(again, _lids(since_s - 0.36), 0))
    return closed


def _fixation_start_s(cell: Cells, seed: int) -> Floats:
    """Return when the gaze of `cell` moves: under a blink if there is one, as large shifts do."""
    own = (cell + 0.1 + 0.8 * uniform(cell, seed, "saccade")) * _GAZE_CELL_S
    blink = _blink_start_s(np.floor_divide(cell, 3), seed)
    blinks_here = np.floor(blink / _GAZE_CELL_S).astype(np.int64) == cell
    return np.where(blinks_here, blink + 0.02, own)


def _target(cell: Cells, seed: int) -> tuple[Floats, Floats]:
    """Return where the eyes rest: mostly on the viewer, hardly moving; sometimes a little aside."""
    aside = uniform(cell, seed, "aside") >= _AT_VIEWER
    reach = np.where(aside, 0.12 + 0.2 * uniform(cell, seed, "reach"), 0.035)
    angle = 2 * np.pi * uniform(cell, seed, "direction")
    return reach * np.cos(angle), 0.55 * reach * np.sin(angle)


def _gaze(times_s: Floats, seed: int) -> tuple[Floats, Floats]:
    """Return the shift of the irises to the right and down: fixations joined by saccades."""
    here = np.floor(times_s / _GAZE_CELL_S).astype(np.int64)
    x, y = _target(here - 2, seed)
    for cell in (here - 1, here):
        moved = np.clip((times_s - _fixation_start_s(cell, seed)) / _SACCADE_S, 0, 1)
        to_x, to_y = _target(cell, seed)
        x, y = x + (to_x - x) * moved, y + (to_y - y) * moved
    return x, y


def _follow(times_s: Floats, seed: int) -> Floats:
    """Return how the head slowly follows where the eyes have been looking, about -1 to 1."""
    lags_s = np.arange(0.2, 0.81, 0.1)
    looked: Floats = np.mean([_gaze(times_s - lag_s, seed)[0] for lag_s in lags_s], axis=0)
    return looked / 0.3
