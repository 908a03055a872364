"""What Twilio says on a bidirectional Media Stream, what it is told, and how an application says what to speak."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from services.chassis.problems import invalid_request_of
from services.contract.errors import InvalidRequest
from services.gateway.live.messages import MOST_MESSAGE_CHARS, SessionConfig
from services.gateway.voicing import VoiceFields

CALL_RATE_HZ = 8_000
"""Samples a second of every call; in µ-law each is a byte."""


class CallConfig(VoiceFields, SessionConfig):
    """How an application speaks into a call. It holds until the next one."""

    caller_audio: bool = Field(False, description="Pass on what the caller says.")

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> CallConfig:
        """Return how a call's own parameters want its greeting; raises `InvalidRequest`."""
        wanted = {name: value for name, value in parameters.items() if name in VoiceFields.model_fields}
        try:
            return cls.model_validate(wanted)
        except ValidationError as error:
            raise invalid_request_of(error.errors()) from error


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, frozen=True)


class MediaFormat(_Part):
    """Of the sound in both directions."""

    encoding: Literal["audio/x-mulaw"]
    sample_rate: Literal[8_000]
    channels: Literal[1]


class Start(_Part):
    """What a stream is."""

    stream_sid: str = Field(min_length=1, max_length=100, pattern="^[!-~]+$")
    call_sid: str = Field("", max_length=100)
    custom_parameters: dict[str, str] = Field({}, description="Of the TwiML that connected the stream.")
    media_format: MediaFormat


class Media(_Part):
    """Some of the caller's sound."""

    payload: str
    timestamp: int = Field(0, description="Milliseconds since the stream began.")


class Digit(_Part):
    """A key the caller pressed."""

    digit: str = Field(max_length=10)


class MarkName(_Part):
    """Which mark it is."""

    name: str


class Connected(_Part):
    """The connection is made."""

    event: Literal["connected"]


class Started(_Part):
    """The stream begins."""

    event: Literal["start"]
    start: Start


class Heard(_Part):
    """The caller made a sound."""

    event: Literal["media"]
    media: Media


class Pressed(_Part):
    """The caller pressed a key."""

    event: Literal["dtmf"]
    dtmf: Digit


class Marked(_Part):
    """What was sent before a mark has been played, or was cleared away."""

    event: Literal["mark"]
    mark: MarkName


class Stopped(_Part):
    """The stream is over."""

    event: Literal["stop"]


TwilioMessage = Connected | Started | Heard | Pressed | Marked | Stopped

_MESSAGE: TypeAdapter[TwilioMessage] = TypeAdapter(Annotated[TwilioMessage, Field(discriminator="event")])


def read_twilio(raw: str) -> TwilioMessage:
    """Return what a message says; raises `InvalidRequest`."""
    if len(raw) > MOST_MESSAGE_CHARS:
        raise InvalidRequest(f"A message of {len(raw)} characters is none of Twilio's.")
    try:
        return _MESSAGE.validate_json(raw)
    except ValidationError as error:
        raise invalid_request_of(error.errors()) from error


def media(stream_sid: str, sound: bytes) -> dict[str, object]:
    """Return the message that has µ-law sound played after what was sent before."""
    return {"event": "media", "streamSid": stream_sid, "media": {"payload": base64.b64encode(sound).decode()}}


def mark(stream_sid: str, name: str) -> dict[str, object]:
    """Return the message that Twilio answers once what was sent before it has been played."""
    return {"event": "mark", "streamSid": stream_sid, "mark": {"name": name}}


def clear(stream_sid: str) -> dict[str, object]:
    """Return the message that drops what was sent and not played yet."""
    return {"event": "clear", "streamSid": stream_sid}
