"""Speech: as a stream with marks for the gateway, as raw floats for small clients."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from anyio import to_thread
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from services.chassis.streaming import begin_stream, unless_disconnected
from services.contract.errors import ServiceError
from services.contract.events import SPEECH_STREAM, encode_chunk, encode_end
from services.contract.headers import speech_headers
from services.contract.speech import AUTO, AudioChunk, SpeechEngineInfo, SpeechRequest
from services.tts.dispatch import Dispatcher, Speech
from services.tts.engine import SpeechEngine, checkpoints_of
from services.tts.sound import sound_of

SAMPLE_RATE_HEADER = "X-Sample-Rate"


class SynthesizeRequest(BaseModel):
    """Body of `POST /synthesize`."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(min_length=1, max_length=5_000)
    language: str = Field(AUTO, max_length=40)
    voice: str = Field("", max_length=100)
    engine: str = Field("", max_length=40)
    speed: float = Field(1.0, ge=0.25, le=4.0)
    sample_rate: int | None = Field(None, ge=8_000, le=48_000, description="None keeps the engine's own rate.")


def speech_router(dispatcher: Dispatcher) -> APIRouter:
    """Return the routes that speak."""
    router = APIRouter(tags=["speech"])

    @router.post(
        "/v1/speech",
        response_class=Response,
        responses={200: {"content": {SPEECH_STREAM: {}}, "description": "PCM with its marks, as it is spoken."}},
    )
    async def speech(body: SpeechRequest, request: Request) -> Response:
        """Speak a text. The headers say which engine, language and voice it became."""
        speech = await unless_disconnected(request, dispatcher.speak(body))
        return await begin_stream(request, _encoded(speech.chunks), SPEECH_STREAM, _told(speech))

    @router.post("/synthesize", response_class=Response)
    async def synthesize(body: SynthesizeRequest, request: Request) -> Response:
        """Speak a text as raw 32-bit little-endian floats, mono; a header tells the sample rate."""
        asked = SpeechRequest(
            text=body.text,
            language=body.language,
            voice=body.voice,
            engine=body.engine,
            speed=body.speed,
            sample_rate_hz=body.sample_rate,
        )
        speech = await unless_disconnected(request, dispatcher.speak(asked))
        headers = _told(speech) | {SAMPLE_RATE_HEADER: str(speech.sample_rate_hz)}
        return await begin_stream(request, _floats(speech.chunks), "application/octet-stream", headers)

    @router.get("/v1/engine")
    async def engine() -> SpeechEngineInfo:
        """Say which engine speaks unless another is asked for, and its voices and languages."""
        return await to_thread.run_sync(_info, await dispatcher.default.engine())

    @router.get("/v1/engines")
    async def engines() -> list[SpeechEngineInfo]:
        """Say which engines speak here, the default one first; those that cannot be loaded are left out."""
        found = []
        for speaker in dispatcher.speakers.values():
            try:
                found.append(await to_thread.run_sync(_info, await speaker.engine()))
            except ServiceError:
                continue
        return found

    return router


def _told(speech: Speech) -> dict[str, str]:
    return speech_headers(
        engine=speech.engine,
        language=speech.language,
        voice=speech.voice,
        takes=speech.takes,
        cached=speech.cached,
        copied=speech.copied,
        notices=speech.notices,
    )


async def _encoded(chunks: AsyncGenerator[AudioChunk, None]) -> AsyncIterator[bytes]:
    async with aclosing(chunks):
        async for chunk in chunks:
            yield encode_chunk(chunk)
        yield encode_end()


async def _floats(chunks: AsyncGenerator[AudioChunk, None]) -> AsyncIterator[bytes]:
    async with aclosing(chunks):
        async for chunk in chunks:
            yield sound_of(chunk.pcm).astype("<f4").tobytes()


def _info(engine: SpeechEngine) -> SpeechEngineInfo:
    return SpeechEngineInfo(
        engine=engine.name,
        revision=engine.revision,
        sample_rate_hz=engine.sample_rate_hz,
        cloning=engine.cloning,
        phoneme_marks=engine.phoneme_marks,
        default_voice=engine.default_voice,
        voices=list(engine.voices()),
        languages=list(engine.languages()),
        checkpoints=checkpoints_of(engine),
    )
