"""An avatar prepared for frames of one size: what no render has to do again."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import Protocol

import numpy as np
from torch import Tensor

from services.avatar.engine import MOTION_FPS, AvatarSource, FrameSize, Image, Landmarks, Tell
from services.avatar.engines.framing import Framing
from services.avatar.engines.musetalk.blending import Patch
from services.avatar.engines.musetalk.faces import FaceOptions, face_box, face_crop, face_patch
from services.avatar.engines.musetalk.generation import Generator as FaceGenerator

_ENCODED_TOGETHER = 8


@dataclass(frozen=True)
class Still:
    """One frame of an avatar's motion."""

    picture: Image
    patch: Patch
    latents: Tensor
    """[8, 32, 32], on the CPU."""


class Track(Protocol):
    """The frames of an avatar's motion, forward only."""

    def __len__(self) -> int:
        """Return how many there are."""

    def patch(self, place: int) -> Patch:
        """Return where the face is generated anew in one of them."""

    def latents(self, place: int) -> Tensor:
        """Return what the generator sees of it, [8, 32, 32] on the CPU."""

    def picture(self, place: int) -> Image:
        """Return it, the caller's to change."""


class StillTrack:
    """A track in memory."""

    def __init__(self, stills: Sequence[Still]) -> None:
        self._stills = stills

    def __len__(self) -> int:
        return len(self._stills)

    def patch(self, place: int) -> Patch:
        return self._stills[place].patch

    def latents(self, place: int) -> Tensor:
        return self._stills[place].latents

    def picture(self, place: int) -> Image:
        picture: Image = self._stills[place].picture.copy()
        return picture


def place_at(frame: int | Fraction, fps: Fraction, length: int) -> int:
    """Return which of `length` frames of motion is seen in frame `frame` of a film.

    It is played forward and back for as long as a film lasts; a film of another rate takes the
    nearest earlier frame.
    """
    last = length - 1
    if last == 0:
        return 0
    place = int(frame * MOTION_FPS / fps) % (2 * last)
    return min(place, 2 * last - place)


def stills_of(
    source: AvatarSource,
    size: FrameSize,
    generator: FaceGenerator,
    options: FaceOptions,
    tell: Tell,
    *,
    v1: bool = False,
) -> Generator[Still, None, None]:
    """Yield the frames of a source: of its clip, or its portrait alone. Raises `UnsuitableFace`."""
    framing = Framing(source, size)
    total = 1 if source.motion is None else len(source.motion.landmarks)
    done = 0
    with closing(_moving(source)) as moving:
        framed = ((framing.picture(picture), framing.landmarks(landmarks)) for picture, landmarks in moving)
        while chunk := list(islice(framed, _ENCODED_TOGETHER)):
            tell("frames", done, total)
            boxes = [face_box(landmarks, size.width, size.height, options, v1=v1) for _, landmarks in chunk]
            crops = np.stack([face_crop(picture, box) for (picture, _), box in zip(chunk, boxes, strict=True)])
            latents = generator.latents(crops).cpu()
            for number, ((picture, landmarks), box) in enumerate(zip(chunk, boxes, strict=True)):
                yield Still(picture, face_patch(landmarks, box, options).trimmed(), latents[number])
            done += len(chunk)


def _moving(source: AvatarSource) -> Generator[tuple[Image, Landmarks], None, None]:
    """Yield the pictures of a source, and the face in each."""
    if source.motion is None:
        yield source.portrait, source.landmarks
        return
    with closing(source.motion.read()) as pictures:
        yield from zip(pictures, source.motion.landmarks, strict=True)
