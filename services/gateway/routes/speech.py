"""Speech alone, as OpenAI's clients ask for it."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import Field

from services.chassis.sse import SSE_MEDIA_TYPE, message
from services.chassis.streaming import begin_stream, unless_disconnected
from services.contract.errors import ServiceError
from services.contract.speech import CODEC_FRAME_SAMPLES, SAMPLE_BYTES, SpeechEngineInfo
from services.gateway.ahead import Ahead
from services.gateway.answers import Answers
from services.gateway.audio import MEDIA_TYPES, AudioFormat, encoded_stream
from services.gateway.casting import check_text, is_built_in, revisions
from services.gateway.clients import TtsClient
from services.gateway.copying import Copying
from services.gateway.naming import text_named
from services.gateway.narration import Narration, Piece, narrate
from services.gateway.settings import GatewaySettings
from services.gateway.telling import told
from services.gateway.voicing import VoiceFields, manner_of, voice_of

_PIECES_AHEAD = 64


class AudioSpeechRequest(VoiceFields):
    """Body of OpenAI's `POST /v1/audio/speech`, and what Talkie takes beside it."""

    input: str = Field(min_length=1)
    response_format: AudioFormat = "mp3"
    stream_format: Literal["audio", "sse"] = "audio"


def speech_router(settings: GatewaySettings, tts: TtsClient, copying: Copying, answers: Answers) -> APIRouter:
    """Return the routes below `/v1`."""
    router = APIRouter(prefix="/v1", tags=["speech"])

    @router.post("/audio/speech", response_class=Response)
    async def speech(body: AudioSpeechRequest, request: Request) -> Response:
        """Speak a text; the answer streams while it is spoken."""
        with text_named("input"):
            return await spoken(body, request)

    async def spoken(body: AudioSpeechRequest, request: Request) -> Response:
        check_text(body.input, settings.max_text_chars)
        engines = await tts.engines()
        key = answers.key(_told_apart(body, engines)) if _is_kept(body, engines) else ""
        if key and (kept := await answers.get(key)) is not None:
            return Response(kept.body, media_type=MEDIA_TYPES[body.response_format], headers=dict(kept.headers))
        narration = Narration(body.input, body.language, await manner_of(body, engines, copying))
        pieces = Ahead(narrate(tts, narration), _PIECES_AHEAD)
        first = await unless_disconnected(request, _first(pieces))
        sound = _Sound(first, pieces)
        encoded = encoded_stream(sound.pcm(), body.response_format)
        if body.stream_format == "sse":
            headers = told(first.answer) | {"Cache-Control": "no-cache"}
            events = _events(encoded, lambda: _usage(body.input, sound))
            return await begin_stream(request, events, SSE_MEDIA_TYPE, headers)
        headers = told(first.answer)
        if key:
            encoded = answers.kept(key, headers, encoded, lambda: sound.as_asked)
        return await begin_stream(request, encoded, MEDIA_TYPES[body.response_format], headers)

    @router.get("/models")
    async def models() -> dict[str, Any]:
        """List the speech engines as models, as OpenAI's clients expect."""
        names = [engine.engine for engine in await tts.engines()]
        return {"object": "list", "data": [{"id": name, "object": "model", "owned_by": "talkie"} for name in names]}

    return router


def _is_kept(body: AudioSpeechRequest, engines: Sequence[SpeechEngineInfo]) -> bool:
    """Whether the answer may be kept: not in a copied voice, which its owner may delete at any time."""
    if not body.use_cache or body.stream_format != "audio" or body.ref_audio:
        return False
    return is_built_in(voice_of(body.voice, engines), engines)


def _told_apart(body: AudioSpeechRequest, engines: Sequence[SpeechEngineInfo]) -> dict[str, object]:
    """Return everything that changes the answer to `body`."""
    return {"speech": body.model_dump(mode="json"), "engines": revisions(engines)}


async def _first(pieces: Ahead[Piece]) -> Piece:
    try:
        return await anext(pieces)
    except BaseException:
        await pieces.aclose()
        raise


class _Sound:
    """The sound of a narration that has begun, and how much of it there was."""

    def __init__(self, first: Piece, rest: Ahead[Piece]) -> None:
        self._first, self._rest = first, rest
        self.frames = 0
        self.as_asked = True
        """Whether all of it is what was asked for: nothing was cut, and no engine stepped in for another."""

    async def pcm(self) -> AsyncGenerator[bytes, None]:
        async with aclosing(self._rest):
            yield self._counted(self._first)
            async for piece in self._rest:
                yield self._counted(piece)

    def _counted(self, piece: Piece) -> bytes:
        self.as_asked = self.as_asked and not (piece.cut or piece.notices or piece.answer.notices)
        self.frames += len(piece.pcm) // (SAMPLE_BYTES * CODEC_FRAME_SAMPLES)
        return piece.pcm


async def _events(encoded: AsyncGenerator[bytes, None], usage: Callable[[], dict[str, int]]) -> AsyncIterator[bytes]:
    """Yield OpenAI's speech events; one that tells an error, when the speech breaks off in the middle."""
    begun = False
    async with aclosing(encoded):
        try:
            async for data in encoded:
                yield message({"type": "speech.audio.delta", "audio": base64.b64encode(data).decode()})
                begun = True
        except ServiceError as error:
            if not begun:
                raise
            yield message({"type": "error", "error": {"code": error.code, "message": error.detail}})
            return
    yield message({"type": "speech.audio.done", "usage": usage()})


def _usage(text: str, sound: _Sound) -> dict[str, int]:
    """Return what OpenAI counts: here characters are tokens of text, and 80 ms are a token of sound."""
    return {"input_tokens": len(text), "output_tokens": sound.frames, "total_tokens": len(text) + sound.frames}
