"""A thin layer over Skia: paths in SVG's notation, soft fills and strokes, symmetry about the middle."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import skia

DESIGN_SIZE = 1024
MIDDLE_X = 512

_POINTS_OF = {"M": 2, "L": 2, "Q": 4, "C": 6}
_TOKEN = re.compile(r"[MLQCZ]|-?[\d.]+")

Stops = Sequence[tuple[float, str]]


def color(code: str) -> int:
    """Return Skia's colour for #RRGGBB or #RRGGBBAA."""
    value = code.lstrip("#").ljust(8, "F")
    red, green, blue, alpha = (int(value[i : i + 2], 16) for i in range(0, 8, 2))
    return skia.Color(red, green, blue, alpha)


def path(notation: str) -> skia.Path:
    """Return the path of absolute M, L, Q, C and Z commands."""
    made = skia.Path()
    tokens = _TOKEN.findall(notation)
    steps = {"M": made.moveTo, "L": made.lineTo, "Q": made.quadTo, "C": made.cubicTo}
    at, command = 0, "M"
    while at < len(tokens):
        if tokens[at] in "MLQCZ":
            command = tokens[at]
            at += 1
        if command == "Z":
            made.close()
            continue
        count = _POINTS_OF[command]
        steps[command](*map(float, tokens[at : at + count]))
        at += count
    return made


def mirrored(shape: skia.Path) -> skia.Path:
    """Return `shape` flipped about the middle of the face."""
    flipped = skia.Path(shape)
    flipped.transform(skia.Matrix.MakeAll(-1, 0, 2 * MIDDLE_X, 0, 1, 0, 0, 0, 1))
    return flipped


def both(notation: str) -> tuple[skia.Path, skia.Path]:
    """Return a shape and its mirror image."""
    shape = path(notation)
    return shape, mirrored(shape)


def sample(notation: str, count: int) -> npt.NDArray[np.float64]:
    """Return `count` points evenly along the path, [count, 2]."""
    measure = skia.PathMeasure(path(notation), False)
    places = [measure.getPosTan(measure.getLength() * i / (count - 1))[0] for i in range(count)]
    return np.array([(place.x(), place.y()) for place in places])


def linear(start: tuple[float, float], end: tuple[float, float], stops: Stops) -> skia.Shader:
    """Return a gradient along a line."""
    points = [skia.Point(*start), skia.Point(*end)]
    return skia.GradientShader.MakeLinear(points, [color(c) for _, c in stops], [s for s, _ in stops])


def radial(centre: tuple[float, float], radius: float, stops: Stops) -> skia.Shader:
    """Return a gradient outward from a point."""
    return skia.GradientShader.MakeRadial(
        skia.Point(*centre), radius, [color(c) for _, c in stops], [s for s, _ in stops]
    )


class Brush:
    """Paints in design units (1024 by 1024) on a surface of any size."""

    def __init__(self, width_px: int, height_px: int) -> None:
        self._surface = skia.Surface(width_px, height_px)
        self.canvas = self._surface.getCanvas()
        self.canvas.clear(skia.ColorTRANSPARENT)
        scale = height_px / DESIGN_SIZE
        self.canvas.scale(scale, scale)

    def fill(self, shape: skia.Path, ink: str | skia.Shader, *, blur: float = 0) -> None:
        """Fill a shape."""
        self.canvas.drawPath(shape, self._paint(ink, blur))

    def stroke(self, shape: skia.Path, ink: str | skia.Shader, width: float, *, blur: float = 0) -> None:
        """Draw along a shape."""
        paint = self._paint(ink, blur)
        paint.setStyle(skia.Paint.kStroke_Style)
        paint.setStrokeWidth(width)
        paint.setStrokeCap(skia.Paint.kRound_Cap)
        paint.setStrokeJoin(skia.Paint.kRound_Join)
        self.canvas.drawPath(shape, paint)

    def oval(self, x: float, y: float, rx: float, ry: float, ink: str | skia.Shader, *, blur: float = 0) -> None:
        """Fill an ellipse around a point."""
        self.canvas.drawOval(skia.Rect.MakeLTRB(x - rx, y - ry, x + rx, y + ry), self._paint(ink, blur))

    def ovals(self, x: float, y: float, rx: float, ry: float, ink: str, *, blur: float = 0) -> None:
        """Fill an ellipse and its mirror image."""
        for side in (x, 2 * MIDDLE_X - x):
            self.oval(side, y, rx, ry, ink, blur=blur)

    @contextmanager
    def inside(self, shape: skia.Path) -> Iterator[None]:
        """Paint only within a shape."""
        self.canvas.save()
        self.canvas.clipPath(shape, doAntiAlias=True)
        yield
        self.canvas.restore()

    def pixels(self) -> npt.NDArray[np.uint8]:
        """Return what was painted, [height, width, 4] as BGRA with straight alpha."""
        image = self._surface.makeImageSnapshot()
        return image.toarray(colorType=skia.kBGRA_8888_ColorType).copy()  # type: ignore[no-any-return]

    def _paint(self, ink: str | skia.Shader, blur: float) -> skia.Paint:
        paint = skia.Paint(AntiAlias=True)
        if isinstance(ink, str):
            paint.setColor(color(ink))
        else:
            paint.setShader(ink)
        if blur:
            # What is soft is light or shadow: it falls on what is there, and never on the air beside it.
            paint.setBlendMode(skia.BlendMode.kSrcATop)
            paint.setMaskFilter(skia.MaskFilter.MakeBlur(skia.kNormal_BlurStyle, blur))
        return paint
