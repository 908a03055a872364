"""Closed eyes for pictures that come without: lids made of the skin around the eye."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from services.avatar.engine import Image
from services.avatar.engines.portrait.easing import smoothstep
from services.avatar.engines.portrait.geometry import Points, height_along
from services.avatar.engines.portrait.pixels import to_bytes

_LASH_THICKNESS = 0.048
"""In eye widths."""

Floats = npt.NDArray[np.float32]


def closed_picture(patch: Image, upper: Points, lower: Points) -> Image:
    """Return `patch` [h, w, 3] with the eye between the contours `upper` and `lower` [n, 2] closed.

    The lid runs from the skin above the eye to the skin below it, a little darker over the curve of
    the eyeball; lashes in the colour of the open eye's lash line lie along the lower contour.
    """
    height, width = patch.shape[:2]
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    eye_width = float(upper[:, 0].max() - upper[:, 0].min())
    upper_y, lower_y = height_along(x, upper) - 0.02 * eye_width, height_along(x, lower)
    opening = np.maximum(lower_y - upper_y, 0.02 * eye_width)
    skin = _skin(patch, x, y, upper_y, lower_y, eye_width)
    inside = _inside(x, y, upper, upper_y, lower_y, eye_width)[..., None]
    closed = patch * (1 - inside) + skin * inside
    lashes = _lashes(x, y, upper, lower_y, eye_width)[..., None]
    colour = _lash_colour(patch, y, upper_y, opening, eye_width)
    closed = closed * (1 - lashes) + colour * lashes
    return to_bytes(closed)


def _skin(patch: Image, x: Floats, y: Floats, upper_y: Floats, lower_y: Floats, eye_width: float) -> Floats:
    soft = cv2.GaussianBlur(patch, (0, 0), max(1.0, 0.04 * eye_width)).astype(np.float32)
    above = _row_colours(soft, upper_y - 0.22 * eye_width, eye_width)
    below = _row_colours(soft, lower_y + 0.15 * eye_width, eye_width)
    down = np.clip((y - upper_y + 0.1 * eye_width) / (lower_y - upper_y + 0.1 * eye_width), 0, 1)[..., None]
    curve = 0.97 + 0.05 * np.sin(np.pi * np.clip(down * 1.05, 0, 1)) - 0.06 * down**3
    crease = 0.06 * np.exp(-(((y - upper_y + 0.03 * eye_width) / (0.03 * eye_width)) ** 2))[..., None]
    skin: Floats = (above * (1 - 0.6 * down) + below * 0.6 * down) * (curve - crease)
    return skin


def _row_colours(soft: Floats, at_y: Floats, eye_width: float) -> Floats:
    """Return the colour at height `at_y` of every column, smoothed along the eye, [1, w, 3]."""
    rows = np.clip(at_y, 0, soft.shape[0] - 1).astype(int)
    colours = soft[rows, np.arange(soft.shape[1])][None]
    along = cv2.GaussianBlur(colours, (0, 0), 0.22 * eye_width, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(along, np.float32)


def _inside(x: Floats, y: Floats, upper: Points, upper_y: Floats, lower_y: Floats, eye_width: float) -> Floats:
    reach = 0.16 * eye_width  # beyond the lashes of the open eye
    vertical = smoothstep((y - upper_y + reach) / (0.4 * reach)) * smoothstep(
        (lower_y + 0.07 * eye_width - y) / (0.06 * eye_width)
    )
    left, right = upper[:, 0].min(), upper[:, 0].max()
    across = smoothstep((x - left + 0.10 * eye_width) / (0.08 * eye_width))
    across = across * smoothstep((right + 0.10 * eye_width - x) / (0.08 * eye_width))
    inside: Floats = (vertical * across).astype(np.float32)
    return inside


def _lashes(x: Floats, y: Floats, upper: Points, lower_y: Floats, eye_width: float) -> Floats:
    along = np.clip((x - upper[:, 0].min()) / eye_width, 0, 1)
    thickness = _LASH_THICKNESS * eye_width * np.sin(np.pi * along) ** 0.5
    distance = np.abs(y - lower_y + 0.01 * eye_width)
    soft = max(1.0, 0.03 * eye_width)
    lashes = smoothstep((thickness / 2 - distance) / soft + 0.5) * np.minimum(thickness / (0.02 * eye_width), 1)
    faint: Floats = (0.65 * lashes).astype(np.float32)
    return faint


def _lash_colour(patch: Image, y: Floats, upper_y: Floats, opening: Floats, eye_width: float) -> Floats:
    band = (np.abs(y - upper_y) < 0.06 * eye_width) & (opening > 0.6 * opening.max())
    colours = patch[band].astype(np.float32)
    light = colours.mean(axis=1)
    colour: Floats = colours[light <= np.percentile(light, 25)].mean(axis=0)
    return colour
