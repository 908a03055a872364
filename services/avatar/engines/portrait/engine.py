"""The portrait engine as a lip-sync engine."""

from __future__ import annotations

from collections.abc import Generator
from fractions import Fraction

from services.avatar.engine import AvatarSource, FrameSize, Tell, VideoFrame, tell_nobody
from services.avatar.engines.portrait.painter import Painter
from services.avatar.engines.portrait.performance import perform
from services.avatar.engines.portrait.rig import Rig, build_rig
from services.contract.motion import MotionPath
from services.contract.speech import AudioChunk

_DIGEST_DIGITS = 8


class PortraitEngine:
    """Animates any front-facing picture from its landmarks, on a CPU, without weights."""

    name = "portrait"
    revision = "1"
    uses_phoneme_marks = True

    def prepare(self, source: AvatarSource, size: FrameSize, tell: Tell = tell_nobody) -> Rig:
        """Work out what all frames of `source` in `size` have in common."""
        return build_rig(source, size)

    def render(
        self,
        track: Rig,
        speech: AudioChunk,
        first_frame: int,
        fps: Fraction,
        frame_skip: int = 1,
        motion: MotionPath | None = None,
    ) -> Generator[VideoFrame, None, None]:
        """Yield the frames that hold `speech`. Every avatar blinks and sways in its own way.

        No frame is skipped: a mouth costs next to nothing here.
        """
        seed = int(track.digest[:_DIGEST_DIGITS], 16)
        painter = Painter(track)
        for expression in perform(speech, first_frame, fps, seed=seed, motion=motion):
            yield painter.paint(expression)

    def gpu(self) -> None:
        """It needs none."""

    def forget(self, digest: str) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing is held."""
