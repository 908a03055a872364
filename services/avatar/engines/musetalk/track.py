"""An avatar prepared for frames of one size: what no render has to do again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from torch import Tensor

from services.avatar.engine import AvatarSource, FrameSize, Image
from services.avatar.engines.framing import frame_portrait
from services.avatar.engines.musetalk.blending import Patch
from services.avatar.engines.musetalk.faces import FaceOptions, face_box, face_crop, face_patch
from services.avatar.engines.musetalk.generation import Generator

MOTION_FPS = 25
"""Frames of an avatar's own motion in a second; a film of another rate takes the nearest earlier one."""


@dataclass(frozen=True)
class Still:
    """One frame of an avatar's motion."""

    picture: Image
    patch: Patch
    latents: Tensor
    """[8, 32, 32], on the generator's device."""


@dataclass(frozen=True)
class Track:
    """The motion of an avatar, played forward and back for as long as a film lasts."""

    stills: Sequence[Still]

    def at(self, frame: int, fps: Fraction) -> Still:
        """Return what is seen in frame `frame` of a film."""
        last = len(self.stills) - 1
        if last == 0:
            return self.stills[0]
        place = int(frame * MOTION_FPS / fps) % (2 * last)
        return self.stills[min(place, 2 * last - place)]


def track_of(
    source: AvatarSource, size: FrameSize, generator: Generator, options: FaceOptions, *, v1: bool = False
) -> Track:
    """Return the track of a picture: one still. Raises `UnsuitableFace`."""
    framed = frame_portrait(source, size)
    box = face_box(framed.landmarks, size.width, size.height, options, v1=v1)
    latents = generator.latents(face_crop(framed.picture, box))[0]
    return Track([Still(framed.picture, face_patch(framed.landmarks, box, options), latents)])
