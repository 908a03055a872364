"""Paints one expression after another of a rig, into buffers of its own."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from services.avatar.engine import Image, VideoFrame
from services.avatar.engines.portrait.expression import MOUTH_SHAPES, Expression
from services.avatar.engines.portrait.geometry import Points
from services.avatar.engines.portrait.grid import Field
from services.avatar.engines.portrait.head import pose_weights
from services.avatar.engines.portrait.interior import Opening, look_inside
from services.avatar.engines.portrait.pixels import look_up, to_bytes
from services.avatar.engines.portrait.rig import Rig, Sheet

_JAW, _ROUND, _UP, _BITE, _TONGUE = (MOUTH_SHAPES.index(name) for name in ("jaw", "round", "up", "bite", "tongue"))
_INVERSION_ROUNDS = 2
_SMALLEST_GAP = 0.004
"""Lips closer together than this, in half mouth widths, hide everything behind them."""

Weights = npt.NDArray[np.float32]


class Painter:
    """Not to be shared: one painter for each film that is being rendered.

    What a frame looks like depends on its expression alone, not on the frames before it.
    """

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._picture: Image = rig.picture.copy()
        self._frame: Image = rig.picture.copy()

    def paint(self, expression: Expression) -> VideoFrame:
        """Return the frame; it is painted over by the next call."""
        rig = self._rig
        for eye in rig.eyes:
            eye.draw(self._picture, expression.blink, expression.gaze)
        basis: Weights = np.concatenate([[np.float32(rig.line.is_open)], expression.mouth[:-1]])
        head = self._head(expression)
        in_face = rig.face_patch.within(rig.patch)
        upper, lower = (self._origins(sheet, basis, head[in_face]) for sheet in (rig.upper, rig.lower))
        self._paint_face(head, in_face, upper, lower)
        self._paint_mouth(expression, basis, head, upper, lower)
        return self._frame

    def _head(self, expression: Expression) -> Field:
        """Return where each node of the moving patch comes from, the mouth left out."""
        rig = self._rig
        weights = pose_weights(expression, rig.face.eye_distance_px)
        origins: Field = rig.nodes - (weights @ rig.pose).reshape(rig.nodes.shape)
        return origins

    def _origins(self, sheet: Sheet, basis: Weights, head: Field) -> Field:
        """Return where each node of the face comes from on this sheet.

        The fields say where a place goes; where it comes from is found by going back, twice corrected.
        """
        rig = self._rig
        moved = (basis @ sheet.fields).reshape(head.shape)
        origins = head - moved
        for _ in range(_INVERSION_ROUNDS):
            origins = head - rig.grid.sample(moved, rig.face_patch, origins)
        return origins

    def _paint_face(self, head: Field, in_face: tuple[slice, slice], upper: Field, lower: Field) -> None:
        rig = self._rig
        share = rig.grid.sample(rig.lower_share, rig.face_patch, np.float32(0.5) * (upper + lower))[..., None]
        origins = head.copy()
        origins[in_face] = upper + (lower - upper) * share
        pixels = rig.grid.to_pixels(origins, rig.patch)
        self._frame[rig.grid.pixels(rig.patch)] = look_up(self._picture, pixels)

    def _paint_mouth(self, expression: Expression, basis: Weights, head: Field, upper: Field, lower: Field) -> None:
        rig = self._rig
        places = rig.box.places
        seen_upper = self._lip(rig.lips.upper, rig.grid.sample(upper, rig.face_patch, places))
        seen_lower = self._lip(rig.lips.lower, rig.grid.sample(lower, rig.face_patch, places))
        upper_alpha, lower_alpha = (lip[..., 3:] * np.float32(1 / 255) for lip in (seen_upper, seen_lower))
        mouth = seen_lower[..., :3].astype(np.float32)
        opening = self._opening(expression.mouth, basis)
        if (opening.lower_edge - opening.upper_edge)[:, 1].max() > _SMALLEST_GAP:
            skull = rig.face.to_mouth(rig.grid.sample(head, rig.patch, places).astype(np.float64)).astype(np.float32)
            inside = look_inside(rig.interior, skull, opening, rig.line.meeting_v)
            mouth = inside + (mouth - inside) * lower_alpha
        mouth += (seen_upper[..., :3] - mouth) * upper_alpha
        around = self._frame[rig.box.rows, rig.box.columns]
        blended = around + (mouth - around) * rig.box.blend
        around[:] = to_bytes(blended)

    def _lip(self, sheet: npt.NDArray[np.uint8], origins: Field) -> npt.NDArray[np.uint8]:
        corner = np.array([self._rig.lips.left_px, self._rig.lips.top_px], np.float32)
        return look_up(sheet, origins - corner)

    def _opening(self, mouth: Weights, basis: Weights) -> Opening:
        rig = self._rig
        return Opening(
            jaw=float(mouth[_JAW]),
            round=float(mouth[_ROUND]),
            up=float(mouth[_UP]),
            bite=float(mouth[_BITE]),
            tongue=float(mouth[_TONGUE]),
            upper_edge=_moved(rig.line.upper, rig.upper, basis),
            lower_edge=_moved(rig.line.lower, rig.lower, basis),
        )


def _moved(edge: Points, sheet: Sheet, basis: Weights) -> Points:
    moved: Points = edge + np.tensordot(basis, sheet.lip, 1)
    return moved
