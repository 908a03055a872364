"""A lip-sync engine for tests: cards that show the moment of their motion, and a bar as high as the sound is loud."""

from __future__ import annotations

import threading
from collections.abc import Generator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from services.avatar.engine import AvatarSource, FrameSize, Image, Tell, VideoFrame, tell_nobody
from services.contract.errors import EngineFailed
from services.contract.motion import MotionPath
from services.contract.speech import AudioChunk
from services.contract.video import Timeline

BITS = 16


@dataclass(frozen=True)
class CardTrack:
    """A card to draw on."""

    size: FrameSize
    digest: str


class CardEngine:
    """Counts what it is asked for, and stops or breaks where a test says so."""

    name = "card"
    revision = "1"
    uses_phoneme_marks = False

    def __init__(self, *, breaks_at: int | None = None, waits_at: int | None = None) -> None:
        self.prepared: list[tuple[str, FrameSize]] = []
        self.forgotten: list[str] = []
        self.drawn = 0
        self.released = threading.Event()
        self._breaks_at = breaks_at
        self._waits_at = waits_at

    def prepare(self, source: AvatarSource, size: FrameSize, tell: Tell = tell_nobody) -> CardTrack:
        self.prepared.append((source.name, size))
        return CardTrack(size, source.digest)

    def render(
        self,
        track: CardTrack,
        speech: AudioChunk,
        first_frame: int,
        fps: Fraction,
        frame_skip: int = 1,
        motion: MotionPath | None = None,
    ) -> Generator[VideoFrame, None, None]:
        timeline = Timeline(fps, speech.sample_rate_hz)
        samples = np.abs(np.frombuffer(speech.pcm, "<i2").astype(np.float32)) / 32768
        card = np.zeros((track.size.height, track.size.width, 3), np.uint8)
        for index in range(timeline.frames_to_hold(first_frame, speech.samples)):
            if index == self._breaks_at:
                raise EngineFailed("The card tore.")
            if index == self._waits_at:
                self.released.wait(30)
            start = timeline.samples_between(first_frame, index)
            end = timeline.samples_between(first_frame, index + 1)
            shown = first_frame + index if motion is None else int(motion.at(index))
            draw(card, shown, float(samples[start:end].max(initial=0.0)))
            self.drawn += 1
            yield card

    def gpu(self) -> None:
        return None

    def forget(self, digest: str) -> None:
        self.forgotten.append(digest)

    def close(self) -> None:
        pass


def draw(card: Image, number: int, level: float) -> None:
    """Draw `number` as a row of black and white fields, and `level` as a bar from the bottom."""
    height, width = card.shape[:2]
    card[:] = 40
    for bit in range(BITS):
        left, right = bit * width // BITS, (bit + 1) * width // BITS
        card[: height // 4, left:right] = 235 if number >> bit & 1 else 20
    card[height - int(level * height / 2) :, :] = (30, 180, 60)


def read_number(card: Image) -> int:
    """Return the number drawn on a decoded card."""
    height, width = card.shape[:2]
    fields = [card[height // 8, (2 * bit + 1) * width // (2 * BITS)].mean() for bit in range(BITS)]
    return sum((value > 128) << bit for bit, value in enumerate(fields))
