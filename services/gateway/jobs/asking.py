"""What clients may ask of a video job, as JSON, form or query."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Request
from pydantic import BaseModel, Field, ValidationError, model_validator

from services.chassis.problems import invalid_request_of
from services.contract.errors import InvalidRequest
from services.contract.jobs import Priority
from services.contract.video import Background
from services.gateway.bodies import read_fields
from services.gateway.requests import FilmFields

_FILES = ("input_reference", "avatar_image", "ref_audio")


class SceneAsk(BaseModel):
    """One scene of a script; what it leaves out is as in the job."""

    model_config = {"extra": "forbid"}

    text: str = Field(min_length=1, max_length=200_000)
    voice: str | None = Field(None, max_length=100)
    avatar: str | None = Field(None, max_length=100)
    background: Background = ""
    pause: float = Field(0.0, ge=0, le=60, description="Seconds of silence after it.")


class VideoJobAsk(FilmFields):
    """Body of `POST /v1/videos`: OpenAI's fields, those of `/video/generate`, and those of a job."""

    prompt: str = Field("", description="What is said. Either this, or scenes.")
    scenes: list[SceneAsk] = Field([], max_length=1_000, description="Several texts, each said by somebody.")
    model: str = Field("", max_length=100, description="The lip-sync engine; other names leave the choice here.")
    seconds: str | int | None = Field(None, description="Of OpenAI's clients; a film lasts as long as its text.")
    background: Background = ""
    priority: Priority = "interactive"
    persist: bool = Field(False, description="Keep the film for good.")
    webhook_url: str = Field("", max_length=2_000, description="Is told when the job is over.")

    @model_validator(mode="before")
    @classmethod
    def _scenes_in_a_form(cls, fields: Any) -> Any:
        """Read scenes that came as text, as forms send them."""
        if isinstance(fields, dict) and isinstance(fields.get("scenes"), str):
            try:
                return fields | {"scenes": json.loads(fields["scenes"])}
            except (ValueError, RecursionError) as error:
                raise ValueError("scenes: must be a JSON list of scenes") from error
        return fields

    @model_validator(mode="after")
    def _one_text(self) -> VideoJobAsk:
        if bool(self.prompt.strip()) == bool(self.scenes):
            raise ValueError("send either prompt or scenes")
        return self

    @property
    def parts(self) -> list[SceneAsk]:
        """The scenes; one where there is only a prompt."""
        return self.scenes or [SceneAsk(text=self.prompt, background=self.background)]


class RemixAsk(BaseModel):
    """Body of `POST /v1/videos/{id}/remix`."""

    model_config = {"extra": "forbid"}

    prompt: Annotated[str, Field(min_length=1, max_length=200_000)]


@dataclass(frozen=True)
class JobAsk:
    """A request with the files that came with it, and what tells it from others."""

    ask: VideoJobAsk
    avatar_image: bytes | None
    ref_audio: bytes | None
    digest: str


async def read_job_ask(request: Request) -> JobAsk:
    """Return what `request` asks for; raises `InvalidRequest` naming the field at fault."""
    fields = await read_fields(request, _FILES)
    pictures = [fields.files[name] for name in ("input_reference", "avatar_image") if name in fields.files]
    if len(pictures) > 1:
        raise InvalidRequest("Send either input_reference or avatar_image.", param="avatar_image")
    try:
        ask = VideoJobAsk.model_validate(fields.values)
    except ValidationError as error:
        raise invalid_request_of(error.errors()) from error
    picture = pictures[0] if pictures else None
    return JobAsk(ask, picture, fields.files.get("ref_audio"), fields.digest)
