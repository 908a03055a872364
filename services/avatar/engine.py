"""What a lip-sync engine is."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from services.contract.motion import MotionPath
from services.contract.speech import AudioChunk
from services.contract.video import GpuState

Image = npt.NDArray[np.uint8]
"""[height, width, 3], BGR."""

VideoFrame = Image
"""One frame of the film; it belongs to the engine again once the next frame is asked for."""

Landmarks = npt.NDArray[np.float32]
"""[478, 3] in pixels of the portrait: x right, y down, z away from the viewer, MediaPipe's face mesh order.

Points 468-472 and 473-477 are the irises (centre, then four points on the rim), image left first.
"""


FaceMotion = npt.NDArray[np.float32]
"""[frames, 468, 3], the face mesh of every frame of a clip in pixels of that frame; without irises."""

MOTION_FPS = 25
"""Frames of an avatar's own motion in a second."""

Stage = Literal["waiting", "faces", "frames"]
"""What preparing an avatar is busy with: waiting for others, finding its face, or working on its frames."""

Tell = Callable[[Stage, int, int], None]
"""Is told how many of how many frames are done; may raise to end the work."""


def tell_nobody(stage: Stage, done: int, total: int) -> None:
    """Is told, and does nothing with it."""


@dataclass(frozen=True)
class Motion:
    """A clip of the avatar moving, `MOTION_FPS` frames a second."""

    read: Callable[[], Generator[Image, None, None]]
    """Starts reading its frames, one after the other."""
    landmarks: FaceMotion


@dataclass(frozen=True)
class AvatarSource:
    """A person to animate: a front-facing picture, and what is known about it.

    `matte` is the person's opacity [height, width], where the background is a plane of its own;
    the portrait is then the person over `background`. `closed_eyes` is the same picture with the
    lids closed; engines that find none close the lids themselves. `motion` is the clip the portrait
    was taken from; engines that do not use it animate the portrait. What is made of a source that
    is not `lasting` may not be kept on disk.
    """

    name: str
    portrait: Image
    landmarks: Landmarks
    digest: str
    matte: npt.NDArray[np.uint8] | None = None
    background: Image | None = None
    closed_eyes: Image | None = None
    motion: Motion | None = None
    lasting: bool = True


@dataclass(frozen=True)
class FrameSize:
    """Size of the film in pixels; both are even."""

    width: int
    height: int


class LipSyncEngine(Protocol):
    """Makes a prepared avatar say a piece of sound. Blocking; an `EngineLane` keeps it off the event loop."""

    name: str
    revision: str
    uses_phoneme_marks: bool

    def prepare(self, source: AvatarSource, size: FrameSize, tell: Tell = tell_nobody) -> Any:
        """Do once per avatar and size what every render would have to do again; `tell` how far it is."""

    def render(
        self,
        track: Any,
        speech: AudioChunk,
        first_frame: int,
        fps: Fraction,
        frame_skip: int = 1,
        motion: MotionPath | None = None,
    ) -> Generator[VideoFrame, None, None]:
        """Yield exactly the frames that hold `speech`, the first of which is frame `first_frame` of the film.

        Pose follows from `motion` alone, by default the film's own frames, and mouth from the speech alone,
        so that segments can be rendered in any order, anywhere. Mark times count from the start of `speech`.
        An engine whose mouths are dear works them out in every `frame_skip`-th frame only, and guesses
        those between.
        """

    def gpu(self) -> GpuState | None:
        """Return how full its GPU is; None where it has none."""

    def forget(self, digest: str) -> None:
        """Remove what is kept on disk of the avatar with this digest."""

    def close(self) -> None:
        """Let go of threads and memory."""
