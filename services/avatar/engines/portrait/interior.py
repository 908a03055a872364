"""What is behind the lips: teeth, tongue and the dark, painted once per avatar in mouth coordinates.

The upper teeth are part of the skull and move with the head alone; the lower ones go with the jaw.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from services.avatar.engine import Image
from services.avatar.engines.portrait.easing import smoothstep
from services.avatar.engines.portrait.geometry import CHEEKS, LOWER_INNER, UPPER_INNER, Face, Points
from services.avatar.engines.portrait.lips import LipLine

Pixels = npt.NDArray[np.float32]
Colour = npt.NDArray[np.float32]
"""[3], BGR, 0 to 255."""

_LEFT, _TOP, _RIGHT, _BOTTOM = -1.5, -1.0, 1.5, 1.6
_SUPERSAMPLING = 4
_FEWEST_PIXELS = 24.0
_ENAMEL = np.array([208, 222, 232], np.float32)
_GUM = np.array([105, 98, 178], np.float32)
_TONGUE = np.array([98, 88, 176], np.float32)
_DARK = np.array([30, 20, 66], np.float32)


@dataclass(frozen=True)
class Arch:
    """One row of teeth: widths from the middle outward, and the row's upper and lower edge.

    `curve` bends the edges down (or up) toward the sides, `shorter` shortens tooth by tooth, `shade`
    darkens them.
    """

    widths: tuple[float, ...]
    top: float
    bottom: float
    curve: float
    shorter: tuple[float, ...]
    shade: tuple[float, ...]
    upper: bool


UPPER_ARCH = Arch(
    (0.25, 0.20, 0.20, 0.18, 0.17, 0.15),
    -0.42,
    0.085,
    -0.05,
    (0.0, 0.014, 0.0, 0.03, 0.05, 0.06),
    (1.0, 0.985, 0.94, 0.87, 0.77, 0.66),
    upper=True,
)
LOWER_ARCH = Arch(
    (0.165, 0.175, 0.19, 0.19, 0.18, 0.16),
    0.02,
    0.44,
    -0.03,
    (0.0, 0.0, 0.008, 0.03, 0.04, 0.05),
    (0.90, 0.885, 0.84, 0.77, 0.68, 0.6),
    upper=False,
)


@dataclass(frozen=True)
class Interior:
    """Pictures [h, w, 4] with premultiplied colour, `scale` pixels to half a mouth width."""

    scale: float
    upper_teeth: Pixels
    lower_teeth: Pixels
    tongue: Pixels
    dark: Colour


@dataclass(frozen=True)
class Opening:
    """How the inside is seen in one frame: shapes' weights, and the inner lips' edges in mouth coordinates."""

    jaw: float
    round: float
    up: float
    bite: float
    tongue: float
    upper_edge: Points
    lower_edge: Points


def interior_of(picture: Image, face: Face, line: LipLine) -> Interior:
    """Paint the inside of the mouth in the light of `picture`."""
    scale = max(_FEWEST_PIXELS, face.half_mouth_px)
    enamel = _enamel(picture, face, line)
    light = float(np.clip(enamel.mean() / 215, 0.6, 1))
    return Interior(
        scale,
        _teeth(UPPER_ARCH, enamel, _GUM * light, scale),
        _teeth(LOWER_ARCH, enamel, _GUM * 0.9 * light, scale),
        _tongue(_TONGUE * light, scale),
        _DARK * light,
    )


def look_inside(interior: Interior, places: Pixels, opening: Opening, meeting_v: float) -> Pixels:
    """Return what is seen at `places` [h, w, 2], in the skull's mouth coordinates, as BGR [h, w, 3]."""
    u, v = places[..., 0], places[..., 1]
    upper, lower = _edges(u, opening)
    gap = np.maximum(lower - upper, 0.02)
    share = np.clip((v - upper) / gap, 0, 1)
    seen: Pixels = interior.dark * (0.75 + 0.9 * share * share)[..., None]

    def lay(picture: Pixels, down: float, strength: float, squeeze: float = 1.0) -> None:
        x = (u * squeeze - _LEFT) * interior.scale - 0.5
        y = (v - down - _TOP) * interior.scale - 0.5
        layer = cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        np.multiply(seen, 1 - layer[..., 3:] * np.float32(1 / 255), out=seen)
        np.add(seen, layer[..., :3] * np.float32(strength), out=seen)

    jaw_drop = 0.57 * opening.jaw - 0.03 * opening.bite
    rise = 0.34 * opening.tongue * min(1.0, 0.35 + 2 * opening.jaw)
    lay(
        interior.tongue,
        meeting_v + 0.10 + 0.34 * opening.jaw - rise,
        0.62 + 0.25 * opening.tongue,
        1 + 0.3 * opening.round,
    )
    lay(interior.lower_teeth, meeting_v + jaw_drop + 0.05, 0.86)
    if opening.tongue > 0.85:  # the tip comes between the teeth
        lay(interior.tongue, meeting_v + 0.45 * jaw_drop - 0.03, 0.98, 1.25)
    lay(interior.upper_teeth, meeting_v - 0.02 * opening.up - 0.07 * opening.round, 1.0)
    return seen * _shade(u, v, upper, lower, opening)[..., None]


def _edges(u: Pixels, opening: Opening) -> tuple[Pixels, Pixels]:
    upper = np.interp(u.ravel(), opening.upper_edge[:, 0], opening.upper_edge[:, 1])
    lower = np.interp(u.ravel(), opening.lower_edge[:, 0], opening.lower_edge[:, 1])
    return upper.astype(np.float32).reshape(u.shape), lower.astype(np.float32).reshape(u.shape)


def _shade(u: Pixels, v: Pixels, upper: Pixels, lower: Pixels, opening: Opening) -> Pixels:
    """The lips' shadow: deep under the upper lip, in the corners, and all over when hardly open."""
    gap = np.maximum(lower - upper, 0.02)
    corner = max(abs(opening.upper_edge[0, 0]), abs(opening.upper_edge[-1, 0]))
    shade = 0.74 + 0.26 * smoothstep((v - upper) / np.minimum(0.15, 0.55 * gap))
    shade *= 1 - 0.6 * smoothstep((np.abs(u) / corner - 0.5) / 0.5)
    shade *= 0.80 + 0.20 * smoothstep((lower - v) / np.minimum(0.10, 0.4 * gap))
    shade *= 0.45 + 0.55 * smoothstep(gap / 0.14)
    return shade.astype(np.float32)


def _enamel(picture: Image, face: Face, line: LipLine) -> Colour:
    """The colour of the teeth: from the picture where it shows them, else what suits the light on the cheeks."""
    if line.is_open:
        mask = np.zeros(picture.shape[:2], np.uint8)
        inside = [*UPPER_INNER, *LOWER_INNER[::-1]]
        cv2.fillPoly(mask, [face.points[inside].round().astype(np.int32)], 255)
        shown = picture[mask > 0].astype(np.float32)
        light = shown.mean(axis=1)
        colour: Colour = shown[light >= np.percentile(light, 70)].mean(axis=0)
        return np.minimum(colour, 245)
    x, y = np.moveaxis(face.points[list(CHEEKS)].round().astype(int), -1, 0)
    skin = picture[np.clip(y, 0, picture.shape[0] - 1), np.clip(x, 0, picture.shape[1] - 1)]
    # Teeth are much alike on all skins; they only follow the light a little.
    lit: Colour = _ENAMEL * np.float32(np.clip(0.72 + 0.28 * np.median(skin.mean(axis=1)) / 180, 0.8, 1.02))
    return lit


def _canvas(scale: float) -> tuple[Pixels, float]:
    fine = scale * _SUPERSAMPLING
    return np.zeros((int((_BOTTOM - _TOP) * fine), int((_RIGHT - _LEFT) * fine), 4), np.float32), fine


def _fill(canvas: Pixels, outline: Points, colour: Colour, fine: float) -> None:
    corners = (outline - [_LEFT, _TOP]) * fine
    cv2.fillPoly(canvas, [corners.round().astype(np.int32)], (*map(float, colour), 255.0))


def _shrink(canvas: Pixels, scale: float, blur: float) -> Pixels:
    """Return the canvas at its final size, softened by `blur` half mouth widths."""
    soft = cv2.GaussianBlur(canvas, (0, 0), max(0.5, blur * scale) * _SUPERSAMPLING)
    size = int((_RIGHT - _LEFT) * scale), int((_BOTTOM - _TOP) * scale)
    return cv2.resize(soft, size, interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


def _teeth(arch: Arch, enamel: Colour, gum: Colour, scale: float) -> Pixels:
    canvas, fine = _canvas(scale)
    u = np.linspace(-sum(arch.widths), sum(arch.widths), 61)
    root, neck = (arch.top - 0.5, arch.top + 0.07) if arch.upper else (arch.bottom + 0.5, arch.bottom - 0.07)
    _fill(canvas, _band(u, np.full_like(u, root), neck + arch.curve * u * u), gum, fine)
    # A strip behind the teeth fills the gaps between them, so that they part by a shade and not by a hole.
    edge = arch.bottom - 0.03 if arch.upper else arch.top + 0.03
    _fill(canvas, _band(u * 0.97, neck + arch.curve * u * u, edge + arch.curve * u * u), enamel * 0.88, fine)
    for side in (-1, 1):
        left = 0.0
        for width, shorter, shade in zip(arch.widths, arch.shorter, arch.shade, strict=True):
            _fill(canvas, _tooth(arch, side * (left + width / 2), width, shorter), enamel * shade, fine)
            left += width
    teeth = _shrink(canvas, scale, 0.014)
    v = (np.arange(len(teeth)) / scale + _TOP)[:, None, None]
    down = smoothstep((v - arch.top) / (arch.bottom - arch.top))
    teeth[..., :3] *= 0.86 + 0.20 * down if arch.upper else 1.0 - 0.16 * down
    return np.clip(teeth, 0, 255)


def _band(u: npt.NDArray[np.float64], upper: npt.NDArray[np.float64], lower: npt.NDArray[np.float64]) -> Points:
    return np.vstack([np.column_stack([u, upper]), np.column_stack([u, lower])[::-1]])


def _tooth(arch: Arch, middle: float, width: float, shorter: float) -> Points:
    """Return a rectangle with rounded corners, the biting edge hardly rounded, so that the row's edge is calm."""
    lift = arch.curve * middle * middle
    top, bottom = arch.top + lift, arch.bottom + lift
    top, bottom = (top, bottom - shorter) if arch.upper else (top + shorter, bottom)
    half, radius = width / 2 * 0.985, min(0.035, width * 0.2)
    turn = np.linspace(0, np.pi / 2, 6)
    across, along = radius * (1 - np.sin(turn)), radius * (1 - np.cos(turn))
    corner = np.column_stack([across, along])
    right_bottom = np.column_stack([middle + half - corner[:, 0], bottom - corner[:, 1]])
    left_bottom = np.column_stack([middle - half + corner[::-1, 0], bottom - corner[::-1, 1]])
    left_top = np.column_stack([middle - half + corner[:, 0], top + corner[:, 1]])
    right_top = np.column_stack([middle + half - corner[::-1, 0], top + corner[::-1, 1]])
    return np.vstack([right_bottom[::-1], left_bottom[::-1], left_top[::-1], right_top[::-1]])


def _tongue(colour: Colour, scale: float) -> Pixels:
    canvas, fine = _canvas(scale)
    turn = np.linspace(0, 2 * np.pi, 64)
    _fill(canvas, np.column_stack([0.66 * np.cos(turn), 0.42 + 0.40 * np.sin(turn)]), colour, fine)
    tongue = _shrink(canvas, scale, 0.035)
    v = (np.arange(tongue.shape[0]) / scale + _TOP)[:, None]
    u = (np.arange(tongue.shape[1]) / scale + _LEFT)[None]
    furrow = 1 - 0.2 * np.exp(-((u / 0.05) ** 2)) * smoothstep((v - 0.05) / 0.25)
    tongue[..., :3] *= ((1.08 - 0.55 * smoothstep((v - 0.1) / 0.7)) * furrow)[..., None]
    return np.clip(tongue, 0, 255)
