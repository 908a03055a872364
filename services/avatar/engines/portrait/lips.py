"""The line along which the mouth opens, and the two pictures of the lips that part along it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from services.avatar.engine import Image
from services.avatar.engines.portrait.easing import smoothstep
from services.avatar.engines.portrait.geometry import LOWER_INNER, UPPER_INNER, Face, Points

_OPEN_FROM = 0.08
"""A mouth whose inner lips are further apart than this, in half mouth widths, is open in the picture."""

_UPPER_SHARE = 0.42
"""How much of the way the upper lip goes when an open mouth closes."""


@dataclass(frozen=True)
class LipLine:
    """The inner edges of the lips in the picture, in mouth coordinates, from corner to corner."""

    upper: Points
    """[11, 2]"""
    lower: Points
    """[11, 2]; the same as `upper` where the mouth is closed."""

    @property
    def gap(self) -> npt.NDArray[np.float64]:
        """How far the edges are apart, [11]."""
        gap: npt.NDArray[np.float64] = self.lower[:, 1] - self.upper[:, 1]
        return gap

    @property
    def is_open(self) -> bool:
        """Whether the picture shows an open mouth."""
        return bool(self.gap[5] > 0)

    @property
    def upper_share(self) -> float:
        """How much of the gap the upper lip closes."""
        return _UPPER_SHARE

    @property
    def meeting_v(self) -> float:
        """Where the lips meet in the middle when the mouth is closed."""
        return float(self.upper[5, 1] + _UPPER_SHARE * self.gap[5])


def lip_line(face: Face) -> LipLine:
    """Return the line of the mouth; a mouth open by a hair counts as closed."""
    upper = face.to_mouth(face.points[list(UPPER_INNER)])
    lower = face.to_mouth(face.points[list(LOWER_INNER)])
    if lower[5, 1] - upper[5, 1] > _OPEN_FROM:
        lower[:, 1] = np.maximum(lower[:, 1], upper[:, 1])
        return LipLine(upper, lower)
    seam = (upper + lower) / 2
    return LipLine(seam, seam.copy())


@dataclass(frozen=True)
class LipSheets:
    """Two pictures of the mouth's surroundings, each with the opacity of one lip's side, [h, w, 4]."""

    upper: Image
    lower: Image
    left_px: int
    top_px: int
    """Where the pictures' corner is in the frame."""


def lip_sheets(
    picture: Image, face: Face, line: LipLine, left_px: int, top_px: int, width: int, height: int
) -> LipSheets:
    """Cut a rectangle of `picture` into the two sides of the mouth."""
    part = picture[top_px : top_px + height, left_px : left_px + width]
    x, y = np.meshgrid(np.arange(left_px, left_px + part.shape[1]), np.arange(top_px, top_px + part.shape[0]))
    places = face.to_mouth(np.stack([x, y], -1).astype(np.float64))
    feather = max(1.3 / face.half_mouth_px, 0.03)
    upper, lower = sides(places, line, feather)
    if line.is_open:
        part = _without_teeth(part, places, line, face.half_mouth_px)
    return LipSheets(_with_alpha(part, upper), _with_alpha(part, lower), left_px, top_px)


def sides(
    places: npt.NDArray[np.float64], line: LipLine, feather: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return how much of each place [..., 2] belongs to the upper and to the lower side.

    Along a closed mouth both are 1, so that nothing shows through it. Beyond the corners the two
    sides fade into each other, more softly the further out.
    """
    u, v = places[..., 0], places[..., 1]
    upper_edge = np.interp(u, line.upper[:, 0], line.upper[:, 1])
    lower_edge = np.interp(u, line.lower[:, 0], line.lower[:, 1])
    beyond = np.maximum(0, np.abs(u) - 0.97)
    width = feather + 0.55 * beyond
    upper = 1 - smoothstep((v - upper_edge) / width)
    lower = smoothstep((v - lower_edge + 1.2 * beyond) / width + 1 + 0.6 * np.minimum(beyond * 8, 1))
    # The corners are skin, whatever opens between them: no dark wedge runs out to the side.
    return upper, np.maximum(lower, smoothstep((np.abs(u) - 0.84) / 0.14))


def _without_teeth(part: Image, places: npt.NDArray[np.float64], line: LipLine, half_mouth_px: float) -> Image:
    """Paint the inside of an open mouth over with the colour of the lips around it."""
    u, v = places[..., 0], places[..., 1]
    margin = max(0.06, 2.0 / half_mouth_px)  # teeth shine into the lips' edges, by a pixel or two in small pictures
    above = v > np.interp(u, line.upper[:, 0], line.upper[:, 1]) - margin
    below = v < np.interp(u, line.lower[:, 0], line.lower[:, 1]) + margin
    inside = (above & below & (np.abs(u) < 0.93)).astype(np.uint8)
    radius_px = max(2.0, 0.08 * half_mouth_px)
    return cv2.inpaint(np.ascontiguousarray(part), inside, radius_px, cv2.INPAINT_TELEA)  # type: ignore[return-value]


def _with_alpha(part: Image, alpha: npt.NDArray[np.float64]) -> Image:
    return np.dstack([part, (alpha * 255).astype(np.uint8)])
