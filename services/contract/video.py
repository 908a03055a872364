"""Video on the wire: where a segment stands on the film's timeline, and what avatars there are."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
)

from services.contract.errors import Problem

FILM_SAMPLE_RATE_HZ = 48_000
"""Rate of every film's sound track: what players and broadcast tools expect."""

PICTURE_TRACK, SOUND_TRACK = 1, 2
"""The tracks of every film."""

LIPSYNC_MEDIA_TYPE = "video/mp4"

LAST_FRAME = 100_000_000
"""No film has more frames."""

Background = Annotated[
    str,
    Field(
        pattern="^(#[0-9a-fA-F]{6})?$",
        description="Colour behind an avatar that is cut out, as #rrggbb; empty for its own background.",
    ),
]


def _parse_fps(value: object) -> object:
    """Read `25`, `29.97`, `"30000/1001"`; the NTSC rates are put back on their exact fractions."""
    if not isinstance(value, (str, int, float)):
        return value
    try:
        fps = Fraction(str(value))
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError("must be a number such as 25 or a fraction such as 30000/1001") from error
    for nominal in (24, 30, 48, 60):
        ntsc = Fraction(nominal * 1000, 1001)
        if abs(fps - ntsc) < Fraction(1, 200):
            return ntsc
    return fps


def _check_fps(fps: Fraction) -> Fraction:
    if not 23 < fps <= 60 or fps.denominator > 1001:
        raise ValueError("must lie between 24 and 60 (24000/1001 counts)")
    return fps


Fps = Annotated[
    Fraction,
    BeforeValidator(_parse_fps),
    AfterValidator(_check_fps),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["25", "30000/1001"]}),
]
"""Frames per second as an exact fraction."""


class FrameParams(BaseModel):
    """Size of the frames of a film in pixels."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    width: int = Field(512, ge=128, le=3840, multiple_of=2)
    height: int = Field(512, ge=128, le=3840, multiple_of=2)


class LipSyncParams(FrameParams):
    """Query of `POST /v1/lipsync` on the avatar service: one segment of a film.

    The body is a speech stream, or raw PCM as `audio/L16; rate=48000; channels=1`.
    """

    avatar: str = Field(max_length=100)
    first_frame: int = Field(0, ge=0, le=LAST_FRAME, description="Number of the segment's first frame in the film.")
    motion_frame: int | None = Field(
        None, ge=0, le=LAST_FRAME, description="Moment of the avatar's motion it begins with; else that frame's."
    )
    motion_end: int | None = Field(
        None, ge=0, le=LAST_FRAME, description="Moment the next segment begins with; else as far as this one lasts."
    )
    fps: Fps = Fraction(25)
    frame_skip: int = Field(
        1, ge=1, le=3, description="Mouths are generated in every n-th frame and guessed between them."
    )
    background: Background = ""
    use_cache: bool = Field(True, description="Answer from the cache, and keep the answer there.")
    lasting: bool = Field(True, description="Whether the answer may be kept on disk.")
    urgent: bool = Field(
        False, description="A film that is being watched cannot go on without it: it waits behind no others."
    )


class AvatarInfo(BaseModel):
    """An avatar that can be asked for by name."""

    name: str
    title: str
    license: str
    width: int
    height: int
    voice: Literal["female", "male"] | None = Field(None, description="The kind of voice that suits it.")
    motion_s: float = Field(0.0, description="Length of the clip it moves in; 0 where it is a picture.")
    warnings: list[str] = Field([], description="What will look less good than it could, in sentences.")
    digest: str = Field("", description="Changes with everything that is seen of it.")


class Preparation(BaseModel):
    """An event of `POST /v1/avatars/{name}/prepare`: `done` of `total` frames of a stage, and how it ended."""

    stage: Literal["waiting", "faces", "frames", "done", "failed"]
    done: int = 0
    total: int = 0
    elapsed_s: float = 0.0
    problem: Problem | None = None


class GpuState(BaseModel):
    """How full the GPU of an engine is."""

    memory_total_mb: int
    memory_used_mb: int
    memory_free_mb: int
    utilization_percent: int | None = Field(None, description="Where NVIDIA's management library is installed.")


class LipSyncEngineInfo(BaseModel):
    """Answer of `GET /v1/engine` on the avatar service."""

    engine: str
    revision: str
    uses_phoneme_marks: bool
    avatars: list[str]
    gpu: GpuState | None = None


Quality = Literal["low", "medium", "high"]


@dataclass(frozen=True)
class Timeline:
    """Exact arithmetic between video frames and sound samples; nothing is ever rounded twice.

    Frame n is shown from sample `sample_at(n)` on. At 29.97 fps frames hold 1601 or 1602 samples
    at 48 kHz, and no error adds up however long the film.
    """

    fps: Fraction
    sample_rate_hz: int = FILM_SAMPLE_RATE_HZ

    def sample_at(self, frame: int) -> int:
        """Return the first sample heard while `frame` is shown."""
        return round(frame * self.sample_rate_hz / self.fps)

    def seconds_at(self, frame: int) -> float:
        """Return the time at which `frame` appears."""
        return float(frame / self.fps)

    def samples_between(self, first_frame: int, frames: int) -> int:
        """Return how many samples `frames` frames from `first_frame` on hold."""
        return self.sample_at(first_frame + frames) - self.sample_at(first_frame)

    def frames_to_hold(self, first_frame: int, samples: int) -> int:
        """Return the least number of frames from `first_frame` on that hold `samples` samples."""
        frames = int(samples * self.fps / self.sample_rate_hz)
        while self.samples_between(first_frame, frames) < samples:
            frames += 1
        while frames and self.samples_between(first_frame, frames - 1) >= samples:
            frames -= 1
        return frames
