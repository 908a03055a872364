"""Eyes that blink and look about: a lid that slides down, an iris that moves behind it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from services.avatar.engine import Image
from services.avatar.engines.portrait.easing import smoothstep
from services.avatar.engines.portrait.geometry import EYES, EyeIndices, Face, height_along
from services.avatar.engines.portrait.lids import closed_picture
from services.avatar.engines.portrait.pixels import look_up, to_bytes

_LID_STEPS = 10
_MARGIN_ACROSS, _MARGIN_ABOVE, _MARGIN_BELOW = 0.34, 0.55, 0.42
"""Reach of the patch beyond the eye, in eye widths."""

_FOLD = 0.55
"""How far above the open eye the skin takes part in a blink, in eye heights."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Eye:
    """One eye cut out of the picture, in every state it can be in."""

    rows: slice
    columns: slice
    open: Image
    """[h, w, 3]"""
    lids: Floats
    """[steps, h, w, 3]: the lid on its way down, premultiplied by `covers`."""
    shows: Floats
    """[steps, h, w, 1]: how much of the open eye is still seen."""
    aperture: Floats
    """[h, w, 1]: 1 between the open lids."""
    iris_pull: Floats
    """[h, w]: 1 on the iris, fading into the white."""
    iris_radius_px: float

    def draw(self, picture: Image, blink: float, gaze: tuple[float, float]) -> None:
        """Paint the eye into `picture`: `blink` 0 to 1, `gaze` in iris radii to the right and down."""
        eye = self._looking(gaze)
        step = round(min(max(blink, 0.0), 1.0) * _LID_STEPS)
        if step:
            eye = to_bytes(eye * self.shows[step - 1] + self.lids[step - 1])
        picture[self.rows, self.columns] = eye

    def _looking(self, gaze: tuple[float, float]) -> Image:
        if gaze == (0.0, 0.0):
            return self.open
        y, x = np.indices(self.iris_pull.shape, dtype=np.float32)
        pull = self.iris_pull * np.float32(self.iris_radius_px)
        origins = np.dstack([x - pull * np.float32(gaze[0]), y - pull * np.float32(gaze[1])])
        moved = look_up(self.open, origins).astype(np.float32)
        return to_bytes(self.open + (moved - self.open) * self.aperture)


def eyes_of(picture: Image, face: Face, closed: Image | None) -> tuple[Eye, ...]:
    """Cut out both eyes; without artwork of `closed` eyes the lids are made of the skin around."""
    return tuple(_eye(picture, face, indices, closed) for indices in EYES)


def _eye(picture: Image, face: Face, indices: EyeIndices, closed: Image | None) -> Eye:
    upper, lower = face.points[list(indices.upper)], face.points[list(indices.lower)]
    width = float(np.linalg.norm(upper[-1] - upper[0]))
    left, right = upper[:, 0].min() - _MARGIN_ACROSS * width, upper[:, 0].max() + _MARGIN_ACROSS * width
    top, bottom = upper[:, 1].min() - _MARGIN_ABOVE * width, lower[:, 1].max() + _MARGIN_BELOW * width
    rows = slice(max(int(top), 0), min(int(bottom) + 1, picture.shape[0]))
    columns = slice(max(int(left), 0), min(int(right) + 1, picture.shape[1]))
    corner = np.array([columns.start, rows.start])
    patch = picture[rows, columns].copy()
    shut = closed[rows, columns] if closed is not None else closed_picture(patch, upper - corner, lower - corner)
    lids, shows = _lid_steps(patch, shut, upper - corner, lower - corner)
    centre = face.points[indices.iris] - corner
    radius = float(np.linalg.norm(face.points[indices.iris + 1 : indices.iris + 5] - corner - centre, axis=1).mean())
    return Eye(
        rows=rows,
        columns=columns,
        open=patch,
        lids=lids,
        shows=shows,
        aperture=_aperture(patch, np.vstack([upper, lower[::-1]]) - corner),
        iris_pull=_iris_pull(patch, centre, radius),
        iris_radius_px=radius,
    )


def _lid_steps(
    patch: Image, shut: Image, upper: npt.NDArray[np.float64], lower: npt.NDArray[np.float64]
) -> tuple[Floats, Floats]:
    """Slide the skin of the shut eye down over the open one, in equal steps."""
    height, width = patch.shape[:2]
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    upper_y, lower_y = height_along(x, upper), height_along(x, lower)
    opening = np.maximum(lower_y - upper_y, 0)
    tallest = float(opening.max())
    lash = 0.16 * tallest
    lids, shows = [], []
    for step in range(1, _LID_STEPS + 1):
        share = step / _LID_STEPS
        still_open = (1 - share) * opening
        below = (y + still_open).astype(np.float32)
        skin = look_up(shut, np.dstack([np.broadcast_to(x, below.shape), below]))
        edge = lower_y - still_open + lash * smoothstep(opening / tallest * 3)
        covers = smoothstep((edge - y) / max(1.0, 0.08 * tallest) + 0.5)
        covers *= smoothstep((y - upper_y) / (_FOLD * tallest) + 1.35)
        covers *= smoothstep(opening / (0.12 * tallest))
        covers = np.maximum(covers, smoothstep(np.array((share - 0.75) / 0.25)))[..., None].astype(np.float32)
        lids.append(skin.astype(np.float32) * covers)
        shows.append(1 - covers)
    return np.array(lids, np.float32), np.array(shows, np.float32)


def _aperture(patch: Image, outline: npt.NDArray[np.float64]) -> Floats:
    mask = np.zeros(patch.shape[:2], np.uint8)
    cv2.fillPoly(mask, [(outline * 16).round().astype(np.int32)], 255, cv2.LINE_AA, shift=4)
    soft = cv2.GaussianBlur(mask, (0, 0), max(0.6, 0.01 * patch.shape[1]))
    aperture: Floats = np.asarray(soft, np.float32)[..., None] / np.float32(255)
    return aperture


def _iris_pull(patch: Image, centre: npt.NDArray[np.float64], radius: float) -> Floats:
    y, x = np.indices(patch.shape[:2])
    away = np.hypot(x - centre[0], y - centre[1]) / radius
    pull: Floats = (1 - smoothstep((away - 1.1) / 1.2)).astype(np.float32)
    return pull
