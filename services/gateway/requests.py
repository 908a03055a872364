"""What clients may ask of the video endpoints, as JSON, form or query: one model, one meaning."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from starlette.datastructures import FormData, UploadFile

from services.chassis.problems import invalid_request_of
from services.contract.errors import InvalidRequest
from services.contract.speech import AUTO
from services.contract.video import Fps, Quality

_SHORT_SIDE_PX: dict[Quality, int] = {"low": 360, "medium": 480, "high": 720}
_DEFAULT_SIDE_PX = 512
_LARGEST_SIDE_PX = 3840
_SMALLEST_SIDE_PX = 128

Aspect = Literal["1:1", "16:9", "9:16"]


class VideoRequest(BaseModel):
    """Fields of `/video/generate` and `/video/stream`; `avatar_path`, `tts_voice` are other names of two of them."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_max_length=200_000)

    text: str = Field(min_length=1)
    language: str = Field(AUTO, max_length=40)
    avatar: str = Field("", max_length=100, description="Name of an avatar; empty or 'auto' for the default one.")
    avatar_path: str = Field("", max_length=100, description="The same as `avatar`.")
    voice: str = Field("", max_length=100, description="Name of a voice; empty for the one that suits the avatar.")
    tts_voice: str = Field("", max_length=100, description="The same as `voice`.")
    tts_engine: str = Field("", max_length=40, description="Must be the engine that runs, or empty.")
    model_size: str = Field("", max_length=10, description="0.6b or 1.7b, for speech engines that have sizes.")
    ref_audio: str = Field("", max_length=200, description="Name of a stored reference, for engines that clone.")
    ref_text: str = Field("", max_length=5_000, description="What is said in the reference.")
    quality: Quality | None = Field(None, description="low is 360p, medium 480p, high 720p.")
    size: str = Field("", max_length=11, description="Frame size such as 1280x720; wins over quality and aspect.")
    aspect: Aspect = "1:1"
    fps: Fps = Fraction(25)
    frame_skip: int = Field(1, ge=1, le=3, description="Mouths generated in every n-th frame, for engines on a GPU.")
    speed: float = Field(1.0, ge=0.25, le=4.0)
    pitch: float = Field(1.0, ge=0.5, le=2.0)

    @field_validator("size")
    @classmethod
    def _size_is_a_frame(cls, size: str) -> str:
        if size:
            _parse_size(size)
        return size

    @model_validator(mode="after")
    def _one_name_each(self) -> VideoRequest:
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
    fields: dict[str, Any] = dict(request.query_params)
    files: dict[str, bytes] = {}
    content_type = request.headers.get("content-type", "").lower()
    if content_type.startswith(("multipart/form-data", "application/x-www-form-urlencoded")):
        async with request.form(max_files=4, max_fields=40) as form:
            files = await _files(form)
            fields |= {name: value for name, value in form.items() if isinstance(value, str)}
    elif await request.body():
        fields |= await _json_object(request)
    try:
        asked = VideoRequest.model_validate(fields)
    except ValidationError as error:
        raise invalid_request_of(error.errors()) from error
    return VideoAsk(asked, files.get("avatar_image"), files.get("ref_audio"))


async def _files(form: FormData) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            if name not in ("avatar_image", "ref_audio"):
                raise InvalidRequest(f"{name}: files can be sent as avatar_image and ref_audio only.", param=name)
            files[name] = await value.read()
    return files


async def _json_object(request: Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except (ValueError, RecursionError) as error:  # the latter for brackets nested without end
        raise InvalidRequest("The body is neither JSON nor a form; see /docs for examples.") from error
    if not isinstance(body, dict):
        raise InvalidRequest('The body must be a JSON object such as {"text": "Hello"}.')
    return body


def _parse_size(size: str) -> tuple[int, int]:
    width, _, height = size.partition("x")
    if not (width.isascii() and width.isdigit() and height.isascii() and height.isdigit()):
        raise ValueError("must look like 1280x720")
    sides = int(width), int(height)
    if any(side % 2 or not _SMALLEST_SIDE_PX <= side <= _LARGEST_SIDE_PX for side in sides):
        raise ValueError(f"both sides must be even and lie between {_SMALLEST_SIDE_PX} and {_LARGEST_SIDE_PX}")
    return sides
