"""What clients may ask of the video endpoints, as JSON, form or query: one model, one meaning."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from fastapi import Request
from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator

from services.chassis.problems import invalid_request_of
from services.contract.newavata import PRESETS
from services.contract.speech import AUTO
from services.contract.video import Fps, Quality
from services.gateway.bodies import read_fields
from services.gateway.nulls import NullsUnsaid

_SHORT_SIDE_PX = {quality: int(resolution.removesuffix("p")) for quality, (resolution, _) in PRESETS.items()}
_DEFAULT_SIDE_PX = 512
_LARGEST_SIDE_PX = 3840
_SMALLEST_SIDE_PX = 128

Aspect = Literal["1:1", "16:9", "9:16"]


def _frame_skip_of(fields: dict[str, Any]) -> int:
    """Return the frame skip of a request that does not say: its quality's."""
    quality: Quality | None = fields.get("quality")
    return PRESETS[quality][1] if quality else 1


class FilmFields(NullsUnsaid):
    """How a film is to be; `avatar_path`, `tts_voice` are other names of two of the fields."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_max_length=200_000)

    language: str = Field(AUTO, max_length=40)
    avatar: str = Field("", max_length=100, description="Name of an avatar; empty or 'auto' for the default one.")
    avatar_path: str = Field("", max_length=100, description="The same as `avatar`.")
    voice: str = Field("", max_length=100, description="Name of a voice; empty for the one that suits the avatar.")
    tts_voice: str = Field("", max_length=100, description="The same as `voice`.")
    tts_engine: str = Field("", max_length=40, description="One of /video/tts_engines; empty or 'auto' for any.")
    model_size: str = Field("", max_length=10, description="0.6b or 1.7b, for speech engines that have sizes.")
    ref_audio: str = Field("", max_length=200, description="Name of a stored reference, for engines that clone.")
    ref_text: str = Field("", max_length=5_000, description="What is said in the reference.")
    quality: Quality | None = Field(None, description="low is 360p, medium 480p, high 720p; see frame_skip.")
    size: str = Field("", max_length=11, description="Frame size such as 1280x720; wins over quality and aspect.")
    aspect: Aspect = "1:1"
    fps: Fps = Fraction(25)
    frame_skip: int = Field(
        default_factory=_frame_skip_of,
        ge=1,
        le=3,
        description="Mouths generated in every n-th frame, for engines on a GPU; medium quality is 2, low 3, else 1.",
    )
    speed: float = Field(1.0, ge=0.25, le=4.0)
    pitch: float = Field(1.0, ge=0.5, le=2.0)
    instructions: str = Field("", max_length=5_000, description="How to speak, for models that take it.")
    seed: int | None = Field(None, ge=0, lt=2**63, description="The same seed speaks the same take.")
    use_cache: bool = Field(True, description="Take what was made before, and keep what is made.")

    @field_validator("size")
    @classmethod
    def _size_is_a_frame(cls, size: str) -> str:
        if size:
            _parse_size(size)
        return size

    @model_validator(mode="after")
    def _one_name_each(self) -> FilmFields:
        if self.avatar and self.avatar_path and self.avatar != self.avatar_path:
            raise ValueError("avatar and avatar_path name two avatars; send one of them")
        if self.voice and self.tts_voice and self.voice != self.tts_voice:
            raise ValueError("voice and tts_voice name two voices; send one of them")
        return self

    @property
    def avatar_name(self) -> str:
        """The avatar asked for; empty for the default one."""
        name = self.avatar or self.avatar_path
        return "" if name == "auto" else name

    @property
    def voice_name(self) -> str:
        """The voice asked for; empty for the one that suits the avatar."""
        return self.voice or self.tts_voice

    @property
    def frame_size(self) -> tuple[int, int]:
        """Width and height of the film in pixels."""
        if self.size:
            return _parse_size(self.size)
        short = _SHORT_SIDE_PX[self.quality] if self.quality else _DEFAULT_SIDE_PX
        long = 2 * round(short * 8 / 9)
        return {"1:1": (short, short), "16:9": (long, short), "9:16": (short, long)}[self.aspect]


class VideoRequest(FilmFields):
    """Fields of `/video/generate` and `/video/stream`."""

    text: str = Field(min_length=1)


@dataclass(frozen=True)
class VideoAsk:
    """A request with the files that came with it."""

    request: VideoRequest
    avatar_image: bytes | None = None
    ref_audio: bytes | None = None


async def read_video_ask(request: Request) -> VideoAsk:
    """Return what `request` asks for in its query and, where it has one, its JSON or form body.

    Raises `InvalidRequest` naming the field at fault.
    """
    fields = await read_fields(request, ("avatar_image", "ref_audio"))
    try:
        asked = VideoRequest.model_validate(fields.values)
    except ValidationError as error:
        raise invalid_request_of(error.errors()) from error
    return VideoAsk(asked, fields.files.get("avatar_image"), fields.files.get("ref_audio"))


def _parse_size(size: str) -> tuple[int, int]:
    width, _, height = size.partition("x")
    if not (width.isascii() and width.isdigit() and height.isascii() and height.isdigit()):
        raise ValueError("must look like 1280x720")
    sides = int(width), int(height)
    if any(side % 2 or not _SMALLEST_SIDE_PX <= side <= _LARGEST_SIDE_PX for side in sides):
        raise ValueError(f"both sides must be even and lie between {_SMALLEST_SIDE_PX} and {_LARGEST_SIDE_PX}")
    return sides
