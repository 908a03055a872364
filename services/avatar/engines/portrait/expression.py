"""What a face does in one frame: the language the performance speaks and the renderer draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MOUTH_SHAPES = ("jaw", "wide", "round", "up", "low", "press", "bite", "smile", "tongue")
"""Columns of a mouth track; each is a basis shape with weight 0 (rest) to 1 (full).

jaw    jaw dropped                      press  lips pressed together (/m b p/)
wide   corners apart (/i/)              bite   lower lip under the upper teeth (/f v/)
round  corners together, lips forward   smile  corners raised
up     upper lip raised                 tongue tongue tip raised (/l t θ/), inside the mouth only
low    lower lip lowered
"""

MouthTrack = npt.NDArray[np.float32]
"""[frames, 9] weights of MOUTH_SHAPES."""


@dataclass(frozen=True)
class HeadPose:
    """Where the head is, relative to the portrait; all zero is the portrait itself."""

    x: float = 0.0
    """Shift to the image right, in eye distances."""
    y: float = 0.0
    """Shift down, in eye distances."""
    roll: float = 0.0
    """Tilt clockwise, in radians."""
    yaw: float = 0.0
    """Turn to the image right, in radians."""
    pitch: float = 0.0
    """Nod down, in radians."""


@dataclass(frozen=True)
class Expression:
    """Everything that moves in one frame."""

    mouth: npt.NDArray[np.float32]
    """[9] weights of MOUTH_SHAPES."""
    head: HeadPose = HeadPose()
    blink: float = 0.0
    """0 eyes as in the portrait, 1 closed."""
    gaze: tuple[float, float] = (0.0, 0.0)
    """Iris shift to the image right and down, in iris radii; about ±0.35 at most."""
    brow: float = 0.0
    """Brows: 0 as in the portrait, 1 raised, -1 lowered."""
    breath: float = 0.0
    """Chest: 0 breathed out, 1 breathed in."""
