"""What makes one person different from another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from scripts.artwork.brush import Brush


@dataclass(frozen=True)
class Skin:
    """Colours from lit to shaded; `blush` and `shadow` are laid over them thinly."""

    light: str
    middle: str
    dark: str
    shadow: str
    blush: str
    highlight: str


@dataclass(frozen=True)
class Build:
    """Proportions of the face in design units, measured from the middle."""

    cheek: float = 166
    jaw: float = 140
    chin: float = 62
    chin_y: float = 742
    neck: float = 78
    nose: float = 40
    shoulder: float = 400


@dataclass(frozen=True)
class EyeLook:
    """Eyes: `tall` is the height of the opening, `tilt` lifts the outer corner, `fold` draws the lid's crease."""

    iris: str
    iris_dark: str
    tall: float = 38
    tilt: float = 4
    wide: float = 94
    fold: float = 1.0
    lashes: float = 1.0
    line: str = "#2A1612"


@dataclass(frozen=True)
class BrowLook:
    """Brows: `thick` in the middle, `lift` of the arch."""

    ink: str
    thick: float = 18
    lift: float = 0
    flat: float = 0


@dataclass(frozen=True)
class LipLook:
    """Lips: `half` their width, `upper` and `lower` their fullness."""

    upper_ink: str
    lower_ink: str
    seam: str
    shine: str
    half: float = 74
    upper: float = 19
    lower: float = 30


Layer = Callable[[Brush], None]


@dataclass(frozen=True)
class Person:
    """One portrait. Hair and clothes are layers behind and in front of the head."""

    name: str
    title: str
    voice: Literal["female", "male"]
    skin: Skin
    build: Build
    eyes: EyeLook
    brows: BrowLook
    lips: LipLook
    behind: Layer
    clothes: Layer
    on_face: Layer
    in_front: Layer
    backdrop: tuple[str, str, str]
    age: float = 0.0
    """0 young to 1 old: how deep lines are."""
