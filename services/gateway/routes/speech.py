"""Speech alone, as OpenAI's clients ask for it."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Annotated, Any, Literal

from anyio import to_thread
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from services.chassis.sse import SSE_MEDIA_TYPE, message
from services.chassis.streaming import begin_stream, unless_disconnected
from services.contract.errors import ServiceError
from services.contract.speech import AUTO, CODEC_FRAME_SAMPLES, SAMPLE_BYTES, Generation, Manner, SpeechEngineInfo
from services.gateway.ahead import Ahead
from services.gateway.answers import Answers
from services.gateway.audio import MEDIA_TYPES, AudioFormat, encoder_for
from services.gateway.casting import check_text, is_built_in, revisions, size_of
from services.gateway.clients import TtsClient
from services.gateway.copying import Copying
from services.gateway.narration import Narration, Piece, narrate
from services.gateway.settings import GatewaySettings
from services.gateway.telling import told

_PIECES_AHEAD = 64
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
    """Body of OpenAI's `POST /v1/audio/speech`, and what Talkie takes beside it."""

    model_config = ConfigDict(extra="forbid")

    input: str = Field(min_length=1)
    model: str = Field("", max_length=100, description="An engine of /v1/models; other names leave the choice here.")
    voice: Annotated[str, Field(max_length=100)] | VoiceId = ""
    instructions: str = Field("", max_length=5_000, description="How to speak, for models that take it.")
    response_format: AudioFormat = "mp3"
    speed: float = Field(1.0, ge=0.25, le=4.0)
    stream_format: Literal["audio", "sse"] = "audio"
    language: str = Field(AUTO, max_length=40)
    pitch: float = Field(1.0, ge=0.5, le=2.0)
    model_size: str = Field("", max_length=10)
    ref_audio: str = Field("", description="Audio in base64, a data URL, a https URL, or the name of a stored voice.")
    ref_text: str = Field("", max_length=5_000)
    x_vector_only_mode: bool = False
    seed: int | None = Field(None, ge=0, lt=2**63)
    generation_params: Generation = Generation()
    use_cache: bool = True


def speech_router(settings: GatewaySettings, tts: TtsClient, copying: Copying, answers: Answers) -> APIRouter:
    """Return the routes below `/v1`."""
    router = APIRouter(prefix="/v1", tags=["speech"])

    @router.post("/audio/speech", response_class=Response)
    async def speech(body: AudioSpeechRequest, request: Request) -> Response:
        """Speak a text; the answer streams while it is spoken."""
        check_text(body.input, settings.max_text_chars)
        engines = await tts.engines()
        key = answers.key(_told_apart(body, engines)) if _is_kept(body, engines) else ""
        if key and (kept := await answers.get(key)) is not None:
            return Response(kept.body, media_type=MEDIA_TYPES[body.response_format], headers=dict(kept.headers))
        narration = Narration(body.input, body.language, await _manner(body, engines))
        pieces = Ahead(narrate(tts, narration), _PIECES_AHEAD)
        first = await unless_disconnected(request, _first(pieces))
        sound = _Sound(first, pieces)
        encoded = _encoded(sound.pcm(), body.response_format)
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

    async def _manner(body: AudioSpeechRequest, engines: Sequence[SpeechEngineInfo]) -> Manner:
        manner = Manner(
            voice=_voice(body.voice, engines),
            speed=body.speed,
            pitch=body.pitch,
            engine=body.model if body.model in [engine.engine for engine in engines] else "",
            model_size=size_of(body.model_size),
            instruct=body.instructions,
            generation=body.generation_params,
            seed=body.seed,
            use_cache=body.use_cache,
        )
        return await copying.manner(manner, body.ref_audio, body.ref_text, x_vector_only=body.x_vector_only_mode)

    return router


def _is_kept(body: AudioSpeechRequest, engines: Sequence[SpeechEngineInfo]) -> bool:
    """Whether the answer may be kept: not in a copied voice, which its owner may delete at any time."""
    if not body.use_cache or body.stream_format != "audio" or body.ref_audio:
        return False
    return is_built_in(_voice(body.voice, engines), engines)


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


async def _encoded(pieces: AsyncGenerator[bytes, None], audio_format: AudioFormat) -> AsyncGenerator[bytes, None]:
    encoder = encoder_for(audio_format)
    async with aclosing(pieces):
        async for pcm in pieces:
            # Encoding is work, and the event loop has other clients.
            if data := await to_thread.run_sync(encoder.encode, pcm):
                yield data
    if data := await to_thread.run_sync(encoder.finish):
        yield data


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


def _voice(voice: str | VoiceId, engines: Sequence[SpeechEngineInfo]) -> str:
    name = voice if isinstance(voice, str) else voice.id
    known = {known.name for engine in engines for known in engine.voices}
    if name in known or name not in _OPENAI_VOICES:
        return name
    stand_in = _OPENAI_VOICES[name]
    return stand_in if stand_in in known else ""
