"""An avatar service that sleeps a fixed time for every frame: `python -m benchmarks.paced_avatar`.

So several replicas can be measured on a machine that could not render for all of them.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from fractions import Fraction

from pydantic import Field

from services.avatar.app import create_app
from services.avatar.engine import VideoFrame
from services.avatar.settings import AvatarSettings
from services.chassis.server import run_service
from services.contract.motion import MotionPath
from services.contract.speech import AudioChunk
from tests.service.card import CardEngine, CardTrack


class PacedSettings(AvatarSettings):
    """Those of the avatar service, and how fast it is."""

    ms_per_frame: float = Field(20.0, gt=0, description="What a frame costs.")


class PacedEngine(CardEngine):
    """Draws cards at a fixed pace."""

    name = "paced"

    def __init__(self, s_per_frame: float) -> None:
        super().__init__()
        self._s_per_frame = s_per_frame

    def render(
        self,
        track: CardTrack,
        speech: AudioChunk,
        first_frame: int,
        fps: Fraction,
        frame_skip: int = 1,
        motion: MotionPath | None = None,
    ) -> Generator[VideoFrame, None, None]:
        """Yield the frames, each when it is due."""
        # Counted from the first one: a machine that wakes sleepers late would make each frame a bit dearer.
        due_at = time.monotonic()
        for frame in super().render(track, speech, first_frame, fps, frame_skip, motion):
            due_at += self._s_per_frame
            time.sleep(max(0.0, due_at - time.monotonic()))
            yield frame


if __name__ == "__main__":
    paced_settings = PacedSettings()
    run_service(create_app(paced_settings, PacedEngine(paced_settings.ms_per_frame / 1000)), paced_settings)
