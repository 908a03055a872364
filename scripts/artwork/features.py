"""Eyes, brows and lips. What is drawn here also tells where the landmarks are."""

from __future__ import annotations

import skia

from scripts.artwork.brush import MIDDLE_X, Brush, both, linear, mirrored, path, radial
from scripts.artwork.person import EyeLook, LipLook, Person

EYE_X, EYE_Y = 431.0, 470.0
"""Centre of the left eye."""

IRIS_RADIUS = 24.0
MOUTH_Y = 636.0
_SMILE = 9
"""How far the corners of the mouth are above its middle."""


def upper_lid(look: EyeLook) -> str:
    """Return the edge of the left eye's upper lid, from the outer to the inner corner."""
    out_x, out_y, in_x, in_y = _corners(look)
    top = EYE_Y - look.tall * 0.62
    return (
        f"M{out_x} {out_y} C{out_x + look.wide * 0.16} {top + 6} {EYE_X - 8} {top - 3} {EYE_X + 6} {top} "
        f"C{EYE_X + 26} {top + 2} {in_x - 10} {in_y - 18} {in_x} {in_y}"
    )


def lower_lid(look: EyeLook) -> str:
    """Return the edge of the left eye's lower lid, from the outer to the inner corner."""
    out_x, out_y, in_x, in_y = _corners(look)
    bottom = EYE_Y + look.tall * 0.55
    return (
        f"M{out_x} {out_y} C{out_x + look.wide * 0.14} {bottom - 6} {EYE_X - 20} {bottom} {EYE_X} {bottom} "
        f"C{EYE_X + 20} {bottom} {in_x - 16} {bottom - 6} {in_x} {in_y}"
    )


def _corners(look: EyeLook) -> tuple[float, float, float, float]:
    half = look.wide / 2
    return EYE_X - half, EYE_Y + 4 - look.tilt, EYE_X + half, EYE_Y + 10


def _reversed_lower(look: EyeLook) -> str:
    out_x, out_y, in_x, _ = _corners(look)
    bottom = EYE_Y + look.tall * 0.55
    return (
        f"C{in_x - 16} {bottom - 6} {EYE_X + 20} {bottom} {EYE_X} {bottom} "
        f"C{EYE_X - 20} {bottom} {out_x + look.wide * 0.14} {bottom - 6} {out_x} {out_y} Z"
    )


def draw_eyes(brush: Brush, person: Person) -> None:
    """Draw both eyes open, looking at the viewer."""
    look = person.eyes
    outline = path(upper_lid(look) + " " + _reversed_lower(look))
    for eye, x in ((outline, EYE_X), (mirrored(outline), 2 * MIDDLE_X - EYE_X)):
        with brush.inside(eye):
            brush.fill(eye, "#F6F2EE")
            brush.stroke(eye, person.skin.shadow + "80", 8, blur=5)
            _draw_iris(brush, look, x)
        brush.stroke(eye, person.skin.shadow + "70", 1.6, blur=0.8)
    _draw_lashes(brush, person)


def _draw_iris(brush: Brush, look: EyeLook, x: float) -> None:
    y = EYE_Y - 1
    glow = radial((x, y + 6), IRIS_RADIUS, ((0, look.iris), (0.68, look.iris), (0.9, look.iris_dark), (1, "#1A1210")))
    brush.oval(x, y, IRIS_RADIUS, IRIS_RADIUS, glow)
    brush.oval(x, y, 10.5, 10.5, "#0D0908")
    brush.stroke(
        path(f"M{x - 52} {y - 24} C{x - 20} {y - 34} {x + 20} {y - 34} {x + 52} {y - 20}"), "#2A18147A", 18, blur=6
    )
    brush.oval(x - 8, y - 9, 5.4, 5.4, "#FFFFFFF4", blur=0.5)
    brush.oval(x + 9, y + 9, 2.8, 2.8, "#FFFFFF88", blur=0.6)


def _draw_lashes(brush: Brush, person: Person) -> None:
    look = person.eyes
    for edge in both(upper_lid(look)):
        brush.stroke(edge, look.line + "C8", 4.2 + 2.2 * look.lashes, blur=0.6)
    out_x, out_y, _, _ = _corners(look)
    if look.lashes > 0.8:
        for dx, dy, ex, ey in ((2, -2, -8, -8), (9, -9, 2, -18), (18, -16, 12, -25)):
            for lash in both(
                f"M{out_x + dx} {out_y + dy} Q{out_x + ex + 4} {out_y + ey + 5} {out_x + ex} {out_y + ey}"
            ):
                brush.stroke(lash, look.line + "D8", 2.6)
    for edge in both(lower_lid(look)):
        brush.stroke(edge, look.line + "50", 1.8, blur=0.6)
    top = EYE_Y - look.tall * 0.62
    for crease in both(
        f"M{out_x + 8} {out_y - 20} C{EYE_X - 30} {top - 15} {EYE_X + 16} {top - 15} {EYE_X + 38} {top + 4}"
    ):
        brush.stroke(crease, person.skin.shadow + f"{int(0xB0 * look.fold):02X}", 2.6, blur=1)


def draw_closed_eyes(brush: Brush, person: Person) -> None:
    """Draw both eyes shut: skin over the eyeball, and the lashes along the lower lid."""
    look, skin = person.eyes, person.skin
    out_x, out_y, in_x, _ = _corners(look)
    top, bottom = EYE_Y - look.tall * 0.62, EYE_Y + look.tall * 0.55
    for lid in both(
        f"M{out_x - 7} {out_y} C{out_x + 6} {top - 8} {EYE_X - 14} {top - 12} {EYE_X + 6} {top - 11} "
        f"C{EYE_X + 30} {top - 9} {in_x} {EYE_Y - 12} {in_x + 4} {EYE_Y + 10} "
        f"C{in_x - 10} {bottom + 4} {EYE_X + 16} {bottom + 7} {EYE_X} {bottom + 7} "
        f"C{EYE_X - 22} {bottom + 7} {out_x + 8} {bottom} {out_x - 7} {out_y} Z"
    ):
        shade = linear((0, top - 10), (0, bottom + 6), ((0, skin.middle), (0.55, skin.light), (1, skin.middle)))
        brush.fill(lid, shade, blur=2.4)
        brush.fill(lid, shade)
    for sheen in both(
        f"M{EYE_X - 22} {EYE_Y - 4} C{EYE_X - 8} {EYE_Y - 10} {EYE_X + 10} {EYE_Y - 10} {EYE_X + 24} {EYE_Y - 2}"
    ):
        brush.stroke(sheen, skin.highlight + "48", 9, blur=7)
    for crease in both(
        f"M{out_x + 4} {out_y - 12} C{EYE_X - 28} {top - 6} {EYE_X + 14} {top - 7} {EYE_X + 36} {top + 8}"
    ):
        brush.stroke(crease, skin.shadow + f"{int(0x90 * look.fold):02X}", 2.4, blur=1.2)
    for edge in both(lower_lid(look)):
        brush.stroke(edge, skin.shadow + "90", 8, blur=3)
        brush.stroke(edge, look.line + "E0", 4 + 1.6 * look.lashes, blur=0.6)
    if look.lashes > 0.8:
        for dx, dy in ((-9, 5), (0, 12), (12, 17)):
            start_x, start_y = out_x + 8 + dx * 0.8, out_y + 6 + dy * 0.4
            for lash in both(f"M{start_x} {start_y} Q{start_x - 4} {start_y + 6} {start_x - 9} {start_y + 8}"):
                brush.stroke(lash, look.line + "D0", 2.4)


def draw_brows(brush: Brush, person: Person) -> None:
    """Draw both brows, with a few hairs."""
    look = person.brows
    thick, lift, flat = look.thick, look.lift, look.flat
    out_y, mid_y, in_y = 424 - lift * 0.4 + flat, 396 - lift, 410 + flat * 0.4
    shape = (
        f"M364 {out_y} C388 {mid_y} 422 {mid_y - 4} 452 {mid_y + 2} C468 {mid_y + 4} 478 {in_y - 8} 484 {in_y - 4} "
        f"C484 {in_y + thick * 0.5} 478 {in_y + thick * 0.6} 472 {in_y + thick * 0.55} "
        f"C444 {mid_y + thick * 0.75} 408 {mid_y + thick * 0.8} 366 {out_y + 6} C363 {out_y + 4} 362 {out_y + 2} 364 {out_y} Z"
    )
    for brow in both(shape):
        brush.fill(brow, look.ink + "60", blur=3)
        brush.fill(brow, look.ink + "D8", blur=0.8)
    for i in range(6):
        x, y = 474 - i * 11, in_y + 4 - i * 1.6 - lift * 0.3
        for hair in both(f"M{x} {y + thick * 0.3} Q{x - 6} {y - thick * 0.15} {x - 15} {y - thick * 0.25}"):
            brush.stroke(hair, look.ink + "70", 1.8, blur=0.4)


def seam(look: LipLook) -> str:
    """Return the line along which the lips meet, from the left to the right corner: a slight smile."""
    left, right, y = MIDDLE_X - look.half, MIDDLE_X + look.half, MOUTH_Y
    return (
        f"M{left} {y - _SMILE} C{left + 16} {y + 1} {MIDDLE_X - 30} {y + 5} {MIDDLE_X - 12} {y + 4.5} "
        f"Q{MIDDLE_X} {y + 7.5} {MIDDLE_X + 12} {y + 4.5} "
        f"C{MIDDLE_X + 30} {y + 5} {right - 16} {y + 1} {right} {y - _SMILE}"
    )


def upper_edge(look: LipLook) -> str:
    """Return the upper edge of the upper lip, from the left to the right corner."""
    left, right, y, up = MIDDLE_X - look.half, MIDDLE_X + look.half, MOUTH_Y, look.upper
    return (
        f"M{left} {y - _SMILE} C{left + 24} {y - _SMILE - 2} {MIDDLE_X - 30} {y - up} {MIDDLE_X - 14} {y - up} "
        f"C{MIDDLE_X - 7} {y - up} {MIDDLE_X - 5} {y - up + 5} {MIDDLE_X} {y - up + 5} "
        f"C{MIDDLE_X + 5} {y - up + 5} {MIDDLE_X + 7} {y - up} {MIDDLE_X + 14} {y - up} "
        f"C{MIDDLE_X + 30} {y - up} {right - 24} {y - _SMILE - 2} {right} {y - _SMILE}"
    )


def lower_edge(look: LipLook) -> str:
    """Return the lower edge of the lower lip, from the left to the right corner."""
    left, right, y, down = MIDDLE_X - look.half, MIDDLE_X + look.half, MOUTH_Y, look.lower
    return (
        f"M{left} {y - _SMILE} C{left + 20} {y + 14} {MIDDLE_X - 34} {y + 5 + down} {MIDDLE_X} {y + 5 + down} "
        f"C{MIDDLE_X + 34} {y + 5 + down} {right - 20} {y + 14} {right} {y - _SMILE}"
    )


def draw_lips(brush: Brush, person: Person) -> None:
    """Draw the lips closed."""
    look, y = person.lips, MOUTH_Y
    middle = path(seam(look))
    upper, lower = path(upper_edge(look)), path(lower_edge(look))
    for lip, ink, stops in (
        (upper, look.upper_ink, (y - look.upper, y + 8)),
        (lower, look.lower_ink, (y + 2, y + 6 + look.lower)),
    ):
        shape = _between(lip, middle)
        brush.fill(shape, ink + "50", blur=3)
        brush.fill(shape, linear((0, stops[0]), (0, stops[1]), ((0, ink), (0.5, ink), (1, ink))))
    lower_shape = _between(lower, middle)
    with brush.inside(lower_shape):
        brush.oval(MIDDLE_X, y + 5 + look.lower * 0.45, 30, look.lower * 0.24, look.shine + "70", blur=6)
        brush.stroke(lower, look.seam + "58", 8, blur=5)
    with brush.inside(_between(upper, middle)):
        brush.stroke(middle, look.seam + "70", 14, blur=6)
        brush.stroke(upper, look.shine + "50", 3, blur=2)
    brush.stroke(middle, look.seam + "E6", 2.8, blur=0.6)
    brush.ovals(MIDDLE_X - look.half, y - _SMILE, 4.5, 3.6, look.seam + "70", blur=3)


def _between(edge: skia.Path, middle: skia.Path) -> skia.Path:
    """Return the area between an edge of a lip and the seam, both drawn from left to right."""
    shape = skia.Path(edge)
    back = skia.Path()
    back.reverseAddPath(middle)
    shape.addPath(back, skia.Path.kExtend_AddPathMode)
    shape.close()
    return shape
