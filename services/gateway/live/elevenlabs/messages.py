"""What ElevenLabs' clients say, and are told."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import AliasChoices, BaseModel, Field, ValidationError

from services.chassis.problems import invalid_request_of
from services.contract.errors import InvalidRequest, ServiceError, TooLarge
from services.contract.speech import AUTO, FASTEST, SLOWEST
from services.gateway.live.messages import MOST_MESSAGE_CHARS

POLICY = 1008
"""The code that a connection is closed with which asks for what is not to be had."""


class Wishes(BaseModel):
    """The query of a connection; what else stands there is without effect."""

    model_id: str = Field("", max_length=100, description="An engine of /v1/models; others leave the choice here.")
    language_code: str = Field(AUTO, min_length=1, max_length=40)
    output_format: str = Field("mp3_44100_128", max_length=40)
    auto_mode: bool = Field(False, description="Each message is a sentence or phrase: speak it at once.")
    inactivity_timeout: float = Field(20.0, gt=0, le=180.0, description="Seconds without a message.")
    sync_alignment: bool = Field(False, description="Send sound only together with the times of its letters.")
    enable_ssml_parsing: bool = False
    seed: int | None = Field(None, ge=0, lt=2**63)

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Wishes:
        """Return the wishes of `query`; raises `InvalidRequest`."""
        try:
            wishes = cls.model_validate(dict(query))
        except ValidationError as error:
            raise invalid_request_of(error.errors()) from error
        if wishes.enable_ssml_parsing:
            raise InvalidRequest("enable_ssml_parsing: SSML is not read while it is written; send plain text.")
        return wishes


class VoiceSettings(BaseModel):
    """How a voice speaks; settings of ElevenLabs' models are without effect."""

    speed: float = Field(1.0, ge=SLOWEST, le=FASTEST)


class ClientMessage(BaseModel):
    """One message of a client, on either socket."""

    text: str | None = None
    flush: bool | None = None
    voice_settings: VoiceSettings | None = None
    context_id: str | None = Field(
        None, min_length=1, max_length=200, validation_alias=AliasChoices("context_id", "contextId")
    )
    close_context: bool | None = None
    close_socket: bool | None = None


def read_message(raw: str) -> ClientMessage:
    """Return what a message says; raises `InvalidRequest` or `TooLarge`."""
    if len(raw) > MOST_MESSAGE_CHARS:
        raise TooLarge(f"A message may have {MOST_MESSAGE_CHARS // 1024} KiB at most; send the text in parts.")
    try:
        return ClientMessage.model_validate_json(raw)
    except ValidationError as error:
        raise invalid_request_of(error.errors()) from error


def refusal(error: ServiceError, code: int) -> dict[str, object]:
    """Return what tells `error`; `code` is what a connection would be closed with for it."""
    return {"message": error.detail, "error": error.code, "code": code}
