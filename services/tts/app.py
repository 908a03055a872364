"""The tts service over HTTP."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from fastapi import APIRouter, FastAPI, Request, Response

from services.chassis.app import create_service_app
from services.chassis.streaming import begin_stream
from services.contract.events import SPEECH_STREAM, encode_chunk, encode_end
from services.contract.speech import (
    ENGINE_HEADER,
    LANGUAGE_HEADER,
    VOICE_HEADER,
    AudioChunk,
    SpeechEngineInfo,
    SpeechRequest,
)
from services.tts.engine import SpeechEngine
from services.tts.settings import TtsSettings
from services.tts.speaker import Speaker


def create_app(settings: TtsSettings, engine: SpeechEngine | None = None) -> FastAPI:
    """Return the service. It loads the engine that `settings` name, unless one is given; it closes either."""
    speaker = Speaker(settings, engine)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            await speaker.start()
            yield
        finally:
            await speaker.close()

    app = create_service_app(
        "Talkie tts", settings, lifespan=lifespan, ready=speaker.check, routers=[_speech_router(speaker)]
    )
    app.state.speaker = speaker
    return app


def _speech_router(speaker: Speaker) -> APIRouter:
    router = APIRouter(prefix="/v1", tags=["speech"])

    @router.post(
        "/speech",
        response_class=Response,
        responses={200: {"content": {SPEECH_STREAM: {}}, "description": "PCM with its marks, as it is spoken."}},
    )
    async def speech(body: SpeechRequest, request: Request) -> Response:
        """Speak a text. The headers say which engine, language and voice it became."""
        utterance = await speaker.resolve(body)
        headers = {
            ENGINE_HEADER: speaker.engine.name,
            LANGUAGE_HEADER: utterance.language,
            VOICE_HEADER: utterance.voice,
        }
        chunks = speaker.speak(utterance, body.sample_rate_hz)
        return await begin_stream(request, _encoded(chunks), SPEECH_STREAM, headers)

    @router.get("/engine")
    async def engine() -> SpeechEngineInfo:
        """Say which engine speaks, and its voices and languages."""
        return _info(speaker.engine)

    return router


async def _encoded(chunks: AsyncGenerator[AudioChunk, None]) -> AsyncIterator[bytes]:
    async with aclosing(chunks):
        async for chunk in chunks:
            yield encode_chunk(chunk)
        yield encode_end()


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
    )
