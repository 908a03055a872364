"""What clients say on the sockets that speak, as vLLM-Omni's `/v1/audio/speech/stream` has it, and a little more."""

from __future__ import annotations

import json
from typing import Annotated, Literal, TypeVar

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from services.chassis.problems import invalid_request_of
from services.contract.errors import InvalidRequest, TooLarge
from services.gateway.audio import AudioFormat
from services.gateway.live.segmenter import Granularity
from services.gateway.llm import ChatMessage
from services.gateway.requests import FilmFields
from services.gateway.voicing import VoiceFields, VoiceName

MOST_CONFIG_CHARS = 4 * 1024**2
"""A voice to copy comes with the configuration."""

MOST_MESSAGE_CHARS = 128 * 1024

LIVE_FPS = (25, 30, 50, 60)
"""Frame rates at which frames and packets of sound meet again and again, so that idle pieces fit anywhere."""


class SessionConfig(BaseModel):
    """What every configuration says. Fields that are not known have no effect: clients may be newer than this."""

    model_config = ConfigDict(extra="allow")

    type: Literal["session.config"] = "session.config"
    split_granularity: Granularity = "sentence"

    @property
    def unknown(self) -> list[str]:
        """The names of fields without effect, to be told: one may be a slip."""
        return list(self.model_extra or ())


class SpeechConfig(VoiceFields, SessionConfig):
    """How an audio socket speaks. It holds until the next one."""

    voice: VoiceName = Field("", validation_alias=AliasChoices("voice", "speaker"))
    response_format: AudioFormat = "wav"
    stream_audio: bool = Field(False, description="Send sound as it is made, rather than a file for each sentence.")
    word_timestamps: bool = Field(False, description="Send PCM in JSON, with the time of each word.")
    task_type: str = Field("", max_length=40, description="Without effect: the voice says it.")
    max_new_tokens: int | None = Field(None, ge=1, description="Without effect: generation_params says it.")
    initial_codec_chunk_frames: int | None = Field(None, ge=0, description="Without effect.")
    non_streaming_mode: bool | None = Field(None, description="Without effect.")

    @model_validator(mode="after")
    def _words_come_with_pcm(self) -> SpeechConfig:
        if self.word_timestamps and not (self.stream_audio and self.response_format == "pcm"):
            raise ValueError("word_timestamps needs stream_audio=true and response_format=pcm")
        return self


class VideoConfig(FilmFields, SessionConfig):
    """How a video socket looks and speaks; the first one holds."""

    idle: bool = Field(True, description="Go on between sentences; otherwise there is only film of what is said.")
    lead_s: float = Field(
        0.4, ge=0.1, le=10.0, description="How far the film runs ahead of the clock, so as to hide an uneven network."
    )
    send_film: bool = Field(
        True, description="Send the film on this socket; otherwise only events, and the film is watched over WebRTC."
    )

    @model_validator(mode="after")
    def _frames_fit_the_sound(self) -> VideoConfig:
        if self.fps not in LIVE_FPS:
            raise ValueError(f"fps: live it is one of {', '.join(map(str, LIVE_FPS))}")
        return self

    @model_validator(mode="after")
    def _somebody_can_watch(self) -> VideoConfig:
        if not (self.send_film or self.idle):
            raise ValueError("send_film=false needs idle=true: over WebRTC the film follows the clock")
        return self


class _Message(BaseModel):
    """One of the messages that follow the configuration."""

    model_config = ConfigDict(extra="forbid")


class InputText(_Message):
    """What the text goes on with."""

    type: Literal["input.text"]
    text: str


class InputFlush(_Message):
    """Speak what is there, though the sentence is not finished."""

    type: Literal["input.flush"]


class InputDone(_Message):
    """The text is finished; the next one may follow."""

    type: Literal["input.done"]


class CallerDone(_Message):
    """The caller has stopped speaking now: from here on the log counts."""

    type: Literal["caller.done"]


class Ping(_Message):
    """Is anybody there?"""

    type: Literal["ping"]


class Interrupt(_Message):
    """Stop speaking, at once."""

    type: Literal["interrupt"]


class SessionClose(_Message):
    """Finish what was given, and close."""

    type: Literal["session.close"]


class Respond(_Message):
    """Have the language model answer, and speak what it says."""

    type: Literal["respond"]
    messages: list[ChatMessage] = Field(min_length=1, max_length=1_000)


Instruction = InputText | InputFlush | InputDone | CallerDone | Interrupt | SessionClose | Respond | Ping

_INSTRUCTION: TypeAdapter[Instruction] = TypeAdapter(Annotated[Instruction, Field(discriminator="type")])
_CONFIG = "session.config"

Config = TypeVar("Config", bound=SessionConfig)


def read_message(raw: str, config: type[Config]) -> Config | Instruction:
    """Return what a message says; raises `InvalidRequest` or `TooLarge`."""
    if len(raw) > MOST_CONFIG_CHARS:
        raise TooLarge(f"A message may have {MOST_CONFIG_CHARS // 1024**2} MiB at most.")
    try:
        message = json.loads(raw, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:  # the latter for brackets nested without end
        raise InvalidRequest("This is no JSON.") from error
    if not isinstance(message, dict):
        raise InvalidRequest('A message is a JSON object such as {"type": "input.text", "text": "Hello. "}.')
    try:
        if message.get("type") == _CONFIG:
            _check_letters(message)
            return config.model_validate(message)
        if len(raw) > MOST_MESSAGE_CHARS:
            raise TooLarge(f"A text may have {MOST_MESSAGE_CHARS // 1024} KiB at most; send it in parts.")
        instruction = _INSTRUCTION.validate_python(message)
    except ValidationError as error:
        raise invalid_request_of(error.errors()) from error
    if not isinstance(instruction, InputText):
        _check_letters(message)
    return instruction


def _no_number(constant: str) -> float:
    raise ValueError(f"{constant} is no number")


def _check_letters(message: object) -> None:
    """Refuse halves of letters; in texts they are put together with the next one."""
    try:
        json.dumps(message, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest("Half a letter is in it: a lone surrogate.") from error
