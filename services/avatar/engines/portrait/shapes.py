"""The basis shapes: how lips, jaw and cheeks move for each of MOUTH_SHAPES at full weight.

The face is cut along the mouth into two sheets, one that goes with the upper lip and one with the
lower, so that the mouth can open. Each shape moves a few hundred control points; a thin-plate
spline spreads their movement over the sheet. All distances are in half mouth widths.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from services.avatar.engines.face_mesh import FACE_OVAL
from services.avatar.engines.portrait.easing import smoothstep
from services.avatar.engines.portrait.expression import MOUTH_SHAPES
from services.avatar.engines.portrait.geometry import (
    CHEEKS,
    CHIN,
    JAWLINE,
    LOWER_OUTER,
    NOSE_TIP,
    SKULL,
    UPPER_OUTER,
    Face,
    Points,
)
from services.avatar.engines.portrait.lips import LipLine
from services.avatar.engines.portrait.spline import thin_plate

Sheet = Literal["upper", "lower"]
Array = npt.NDArray[np.float64]

BASIS = ("close", *MOUTH_SHAPES[:-1])
"""What the sheets are moved by: `close` shuts a mouth that is open in the picture, always at full
weight; the rest are MOUTH_SHAPES without the tongue, which moves behind the lips."""


@dataclass(frozen=True)
class LipMotion:
    """How one lip moves: `spread` pulls the corners apart, `corners` lowers them, `outer` and `inner`
    lower the middle of the lip's outer and inner edge. A small `peak` makes a broad middle."""

    spread: float = 0.0
    corners: float = 0.0
    outer: float = 0.0
    inner: float = 0.0
    peak: float = 0.6


_LIPS: Mapping[Sheet, Mapping[str, LipMotion]] = {
    "upper": {
        "jaw": LipMotion(spread=-0.08, corners=0.25, outer=-0.07, inner=-0.07, peak=0.55),
        "wide": LipMotion(spread=0.15, corners=-0.035, outer=0.03, peak=0.7),
        # The edge away from the mouth moves out, so that pursed lips are fuller, not thinner.
        "round": LipMotion(spread=-0.33, outer=-0.10, inner=-0.01, peak=0.7),
        "up": LipMotion(outer=-0.11, inner=-0.14),
        "press": LipMotion(spread=0.02, outer=0.05, inner=0.012, peak=0.7),
        "bite": LipMotion(outer=-0.085, inner=-0.13, peak=0.55),
        "smile": LipMotion(spread=0.11, corners=-0.13, peak=1.0),
    },
    "lower": {
        "jaw": LipMotion(spread=-0.08, corners=0.25, outer=0.59, inner=0.63, peak=0.6),
        "wide": LipMotion(spread=0.15, corners=-0.035, outer=-0.045, peak=0.7),
        "round": LipMotion(spread=-0.33, outer=0.13, inner=0.02, peak=0.7),
        "low": LipMotion(outer=0.13, inner=0.18, peak=0.5),
        "press": LipMotion(spread=0.02, outer=-0.07, inner=-0.012, peak=0.7),
        "bite": LipMotion(outer=-0.07, inner=-0.075, peak=0.55),
        "smile": LipMotion(spread=0.11, corners=-0.13, outer=0.01, peak=1.0),
    },
}


@dataclass(frozen=True)
class SideMotion:
    """How jaw line or cheeks move: `out` away from the middle, `down` down."""

    out: float = 0.0
    down: float = 0.0


_JAW: Mapping[str, SideMotion] = {
    "jaw": SideMotion(-0.05, 0.48),
    "low": SideMotion(0.0, 0.02),
    "round": SideMotion(-0.05, 0.02),
    "wide": SideMotion(0.03, 0.0),
    "bite": SideMotion(0.0, -0.03),
    "smile": SideMotion(0.03, 0.0),
}
_CHEEKS: Mapping[str, SideMotion] = {
    "jaw": SideMotion(-0.05, 0.10),
    "wide": SideMotion(0.07, -0.02),
    "round": SideMotion(-0.12, 0.0),
    "smile": SideMotion(0.06, -0.07),
    "close": SideMotion(-0.03, 0.0),
}

_SEAM_GUARD = 0.35
"""Points this far beyond the seam move with it, so that the sheet is not torn where it ends."""


@dataclass(frozen=True)
class SheetBasis:
    """One sheet's movement for each of BASIS."""

    fields: Array
    """[len(BASIS), n, 2] at the places asked for."""
    lip: Array
    """[len(BASIS), 11, 2] at the lip's inner edge."""


def sheet_basis(face: Face, line: LipLine, sheet: Sheet, places: Points) -> SheetBasis:
    """Return how `sheet` moves at `places` [n, 2], in mouth coordinates."""
    points, moves = _controls(face, line, sheet)
    inner = line.upper if sheet == "upper" else line.lower
    field = thin_plate(points, moves, np.vstack([places, inner]), smoothness=5e-3)
    by_shape = field.reshape(len(field), len(BASIS), 2).transpose(1, 0, 2)
    fading = fade(face, places)
    return SheetBasis(by_shape[:, : len(places)] * fading[:, None], by_shape[:, len(places) :])


def fade(face: Face, places: Points) -> Array:
    """Return 1 near the mouth and 0 where nothing of the mouth's movement arrives, [n]."""
    chin = face.to_mouth(face.points[CHIN])[1]
    below = chin + 0.8 * face.eye_distance_px / face.half_mouth_px
    reach = np.maximum(np.abs(places[:, 0]) / 3.6, np.maximum(-places[:, 1] / 2.6, places[:, 1] / below))
    return 1 - smoothstep((reach - 0.7) / 0.3)


def _controls(face: Face, line: LipLine, sheet: Sheet) -> tuple[Points, Array]:
    """Return control points [n, 2] and their movement [n, 2 · len(BASIS)]."""
    mouth = face.to_mouth(face.points)
    outer = mouth[list(UPPER_OUTER if sheet == "upper" else LOWER_OUTER)]
    edge = line.upper if sheet == "upper" else line.lower
    guard = edge[2:9] + np.array([0.0, _SEAM_GUARD if sheet == "upper" else -_SEAM_GUARD])
    lips = np.vstack([outer, edge[1:-1], guard])
    is_outer = np.arange(len(lips)) < len(outer)
    jaw, jaw_share = _jaw_points(mouth, sheet)
    cheeks = mouth[list(CHEEKS)]
    still = _still_points(face, mouth)
    moves = [
        np.vstack(
            [
                _lip_moves(shape, sheet, lips, is_outer, line),
                _jaw_moves(shape, jaw, jaw_share, line),
                _cheek_moves(shape, cheeks),
                np.zeros_like(still),
            ]
        )
        for shape in BASIS
    ]
    return np.vstack([lips, jaw, cheeks, still]), np.hstack(moves)


def _jaw_points(mouth: Points, sheet: Sheet) -> tuple[Points, Array]:
    points, share = mouth[list(JAWLINE)], np.array(list(JAWLINE.values()))
    # The upper sheet ends at the seam: the chin below it is the lower sheet's.
    reached = np.abs(points[:, 0]) > (1.15 if sheet == "upper" else -1.0)
    return points[reached], share[reached]


def _still_points(face: Face, mouth: Points) -> Points:
    """Return points around the face and down the neck, so that hair and collar stay where they are."""
    chin = mouth[CHIN, 1]
    around = mouth[NOSE_TIP] + (mouth[list(FACE_OVAL)] - mouth[NOSE_TIP]) * 1.42
    eye_distance = face.eye_distance_px / face.half_mouth_px
    neck = [[x, chin + y * eye_distance] for y in (0.42, 0.62, 0.9, 1.3) for x in range(-3, 4)]
    sides = [
        [s * x, chin * y] for s in (-1, 1) for x, y in ((3.1, 0.2), (3.3, 0.6), (3.0, 1.0), (4.0, 0.4), (4.0, 1.0))
    ]
    return np.vstack([around[around[:, 1] < chin * 0.75], mouth[list(SKULL)], neck, sides])


def _lip_moves(shape: str, sheet: Sheet, lips: Points, is_outer: npt.NDArray[np.bool_], line: LipLine) -> Array:
    u = np.clip(lips[:, 0], -1, 1)
    if shape == "close":
        return _closing_moves(u, sheet, is_outer, line)
    motion = _LIPS[sheet].get(shape, LipMotion())
    bow = (1 - u**2) ** motion.peak
    middle = np.where(is_outer, motion.outer, motion.inner)
    return np.column_stack([motion.spread * u, motion.corners * (1 - bow) + middle * bow])


def _closing_moves(u: Array, sheet: Sheet, is_outer: npt.NDArray[np.bool_], line: LipLine) -> Array:
    """Bring the lips of an open mouth together, the lower one a little more than the upper."""
    gap = np.interp(u, line.upper[:, 0], line.gap)
    down = (line.upper_share if sheet == "upper" else line.upper_share - 1) * gap * np.where(is_outer, 0.72, 1.0)
    corners = 0.05 * (1 - (1 - u**2) ** 0.6)
    return np.column_stack([-0.12 * u, down + corners]) * line.is_open


def _jaw_moves(shape: str, jaw: Points, share: Array, line: LipLine) -> Array:
    if shape == "close":
        return np.column_stack([np.zeros_like(share), -0.30 * line.gap.max() * share])
    motion = _JAW.get(shape, SideMotion())
    side = np.clip(jaw[:, 0] / 2, -1, 1)
    taking_part = share if shape == "jaw" else np.ones_like(share)
    return np.column_stack([motion.out * side, motion.down * taking_part])


def _cheek_moves(shape: str, cheeks: Points) -> Array:
    motion = _CHEEKS.get(shape, SideMotion())
    near = np.exp(-(((np.abs(cheeks[:, 0]) - 1.2) / 0.9) ** 2))
    down = motion.down * smoothstep((cheeks[:, 1] + 0.9) / 1.8) if shape == "jaw" else motion.down * near
    return np.column_stack([motion.out * np.sign(cheeks[:, 0]) * near, down])
