"""Puts a person together, layer by layer."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from scripts.artwork.brush import DESIGN_SIZE, Brush, path, radial
from scripts.artwork.features import draw_brows, draw_closed_eyes, draw_eyes, draw_lips
from scripts.artwork.head import draw_ears, draw_face, draw_neck
from scripts.artwork.person import Person

Pixels = npt.NDArray[np.uint8]

_WIDE = 16 / 9


def draw_portrait(person: Person, size_px: int, *, closed: bool = False) -> Pixels:
    """Return the person alone, [size, size, 4] as BGRA."""
    brush = Brush(size_px, size_px)
    person.behind(brush)
    draw_neck(brush, person)
    person.clothes(brush)
    draw_ears(brush, person)
    draw_face(brush, person)
    draw_lips(brush, person)
    draw_eyes(brush, person)
    if closed:
        draw_closed_eyes(brush, person)
    draw_brows(brush, person)
    person.on_face(brush)
    person.in_front(brush)
    return brush.pixels()


def draw_backdrop(person: Person, size_px: int) -> Pixels:
    """Return a softly lit wall, [size, size · 16/9, 3]."""
    width_px = round(size_px * _WIDE / 2) * 2
    brush = Brush(width_px, size_px)
    wide = DESIGN_SIZE * width_px / size_px
    light, middle, dark = person.backdrop
    wall = path(f"M0 0 L{wide} 0 L{wide} 1024 L0 1024 Z")
    brush.fill(wall, radial((wide / 2 - 90, 330), wide * 0.72, ((0, light), (0.5, middle), (1, dark))))
    for x, y, r, alpha in (
        (0.72, 0.22, 130, "30"),
        (0.2, 0.5, 170, "28"),
        (0.88, 0.66, 110, "22"),
        (0.08, 0.2, 90, "22"),
    ):
        brush.oval(wide * x, 1024 * y, r, r, "#FFFFFF" + alpha, blur=48)
    return np.ascontiguousarray(brush.pixels()[..., :3])


def closed_eyes_patch(opened: Pixels, closed: Pixels) -> Pixels:
    """Return the closed picture where it differs from the open one, transparent elsewhere."""
    differs = (cv2.absdiff(opened, closed).max(axis=2) > 1).astype(np.uint8)
    grown = cv2.dilate(differs, np.ones((5, 5), np.uint8))
    return closed * grown[..., None]
