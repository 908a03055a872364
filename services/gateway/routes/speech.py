"""Speech alone, as OpenAI's clients ask for it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from services.chassis.streaming import begin_stream
from services.contract.errors import InvalidRequest
from services.contract.speech import AUTO, ENGINE_HEADER, VOICE_HEADER, SpeechEngineInfo
from services.gateway.ahead import Ahead
from services.gateway.audio import MEDIA_TYPES, SPEECH_SAMPLE_RATE_HZ, AudioFormat, encoder_for
from services.gateway.casting import check_text
from services.gateway.clients import TtsClient
from services.gateway.narration import Narration, narrate
from services.gateway.settings import GatewaySettings

_CHUNKS_AHEAD = 64
_OPENAI_VOICES = {
    **dict.fromkeys(("alloy", "coral", "fable", "marin", "nova", "sage", "shimmer"), "female"),
    **dict.fromkeys(("ash", "ballad", "cedar", "echo", "onyx", "verse"), "male"),
}
"""Stand-ins for the names that OpenAI's clients send by default; X-Talkie-Voice tells which voice spoke."""


class VoiceId(BaseModel):
    """A voice given as an object."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(max_length=100)


class AudioSpeechRequest(BaseModel):
    """Body of OpenAI's `POST /v1/audio/speech`, and `language` beside it."""

    model_config = ConfigDict(extra="forbid")

    input: str = Field(min_length=1)
    model: str = Field("", max_length=100, description="Taken from any client; the engine that runs here speaks.")
    voice: Annotated[str, Field(max_length=100)] | VoiceId = ""
    instructions: str = Field("", max_length=5_000, description="How to speak, for engines that take it.")
    response_format: AudioFormat = "mp3"
    speed: float = Field(1.0, ge=0.25, le=4.0)
    stream_format: Literal["audio"] = "audio"
    language: str = Field(AUTO, max_length=40)


def speech_router(settings: GatewaySettings, tts: TtsClient) -> APIRouter:
    """Return the routes below `/v1`."""
    router = APIRouter(prefix="/v1", tags=["speech"])

    @router.post("/audio/speech", response_class=Response)
    async def speech(body: AudioSpeechRequest, request: Request) -> Response:
        """Speak a text; the answer streams while it is spoken."""
        check_text(body.input, settings.max_text_chars)
        engine = await tts.engine()
        if body.instructions:
            raise InvalidRequest(
                f"instructions: the {engine.engine} engine takes none; leave them out.", param="instructions"
            )
        narration = Narration(body.input, _voice(body.voice, engine), body.language, body.speed, SPEECH_SAMPLE_RATE_HZ)
        headers = {ENGINE_HEADER: engine.engine, VOICE_HEADER: narration.voice or engine.default_voice}
        source = _encoded(tts, narration, body.response_format)
        return await begin_stream(request, source, MEDIA_TYPES[body.response_format], headers)

    @router.get("/audio/voices")
    async def voices() -> dict[str, Any]:
        """List the voices."""
        return {"voices": (await tts.engine()).voices}

    @router.get("/models")
    async def models() -> dict[str, Any]:
        """List the speech engine as a model, as OpenAI's clients expect."""
        engine = await tts.engine()
        return {"object": "list", "data": [{"id": engine.engine, "object": "model", "owned_by": "talkie"}]}

    return router


async def _encoded(tts: TtsClient, narration: Narration, audio_format: AudioFormat) -> AsyncGenerator[bytes, None]:
    encoder = encoder_for(audio_format)
    async with aclosing(Ahead(narrate(tts, narration), _CHUNKS_AHEAD)) as pieces:
        async for pcm in pieces:
            if data := encoder.encode(pcm):
                yield data
    if data := encoder.finish():
        yield data


def _voice(voice: str | VoiceId, engine: SpeechEngineInfo) -> str:
    name = voice if isinstance(voice, str) else voice.id
    known = {known.name for known in engine.voices}
    stand_in = _OPENAI_VOICES.get(name, "")
    return stand_in if name not in known and stand_in in known else name
