"""Voice cloning as the Qwen3-TTS server offers it: whole, and as server-sent events."""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from services.chassis.sse import SSE_MEDIA_TYPE, event
from services.chassis.streaming import begin_stream, unless_disconnected
from services.chassis.wav import wav_file
from services.contract.errors import InvalidRequest, ServiceError
from services.contract.speech import AUTO, Generation, Manner
from services.gateway.ahead import all_of
from services.gateway.calling import PATIENCE_S
from services.gateway.casting import check_text, size_of
from services.gateway.clients import TtsClient
from services.gateway.copying import Copying
from services.gateway.narration import SPEECH_SAMPLE_RATE_HZ, Narration, Piece, narrate
from services.gateway.settings import GatewaySettings
from services.gateway.telling import told
from services.gateway.whole import WholeSpeech, whole_of

GENERATION_TIME_HEADER = "X-Generation-Time"
_MOST_TEXTS = 64
_MOST_CHARS = {"language": 40, "ref_text": 5_000}
_LISTABLE = ("text", "language", "ref_audio", "ref_text", "x_vector_only_mode")


class VoiceCloneRequest(BaseModel):
    """Body of `POST /tts/voice_clone`. With lists, one voice or language may stand for all texts."""

    model_config = ConfigDict(extra="forbid")

    text: str | list[str] = Field(description="What to say; a list makes several clips.")
    language: str | list[str] = AUTO
    ref_audio: str | list[str] = Field(
        "", description="Audio in base64, a data URL, a https URL, or the name of a stored voice."
    )
    ref_text: str | list[str | None] | None = Field(
        "", description="What is said in ref_audio; empty copies the timbre alone."
    )
    x_vector_only_mode: bool | list[bool] = False
    split_sentences: bool | None = Field(None, description="False speaks each text in one go; otherwise by sentence.")
    seed: int | None = Field(None, ge=0, lt=2**63)
    use_cache: bool = Field(True, description="False makes another take of what was said before.")
    generation_params: Generation = Generation()

    @field_validator("language", "ref_text")
    @classmethod
    def _none_too_long(cls, value: Any, field: ValidationInfo) -> Any:
        most_chars = _MOST_CHARS[str(field.field_name)]
        for one in value if isinstance(value, list) else [value]:
            if len(one or "") > most_chars:
                raise ValueError(f"at most {most_chars} characters")
        return value


@dataclass(frozen=True)
class _Voice:
    ref_audio: str
    ref_text: str
    x_vector_only: bool


@dataclass(frozen=True)
class _Clip:
    text: str
    language: str
    voice: _Voice


def clone_router(settings: GatewaySettings, tts: TtsClient, copying: Copying) -> APIRouter:
    """Return the routes below `/tts` that clone."""
    router = APIRouter(prefix="/tts", tags=["voice clone"])

    async def manners(body: VoiceCloneRequest, clips: list[_Clip], size: str, *, live: bool) -> dict[_Voice, Manner]:
        """Return how to speak in each voice the clips name."""
        check_text("".join(clip.text for clip in clips), settings.max_text_chars)
        manner = Manner(
            model_size=size_of(size),
            generation=body.generation_params,
            seed=body.seed,
            live=live,
            use_cache=body.use_cache,
        )
        return {
            voice: await copying.manner(manner, voice.ref_audio, voice.ref_text, x_vector_only=voice.x_vector_only)
            for voice in dict.fromkeys(clip.voice for clip in clips)
        }

    async def spoken(body: VoiceCloneRequest, clips: list[_Clip], size: str) -> list[WholeSpeech]:
        voices = await manners(body, clips, size, live=False)
        # What is spoken side by side are the sentences of one clip, or else whole clips.
        sentences, at_once = (settings.parallel_sentences, 1) if len(clips) == 1 else (1, settings.parallel_sentences)
        split = body.split_sentences is not False

        def work(number: int, clip: _Clip) -> Callable[[], Awaitable[WholeSpeech]]:
            patience_s = PATIENCE_S if number else 0.0
            one = Narration(clip.text, clip.language, voices[clip.voice], split, sentences, patience_s)
            return lambda: whole_of(narrate(tts, one))

        return await all_of([work(number, clip) for number, clip in enumerate(clips)], at_once)

    @router.post("/voice_clone", response_class=Response, responses={200: {"content": {"audio/wav": {}}}})
    async def voice_clone(body: VoiceCloneRequest, request: Request, model_size: str = "") -> Response:
        """Speak in a copied voice; answers with a WAV file, or with JSON when a field is a list."""
        began = time.perf_counter()
        clips = _clips(body)
        speeches = await unless_disconnected(request, spoken(body, clips, model_size))
        took_s = time.perf_counter() - began
        headers = {GENERATION_TIME_HEADER: f"{took_s:.3f}"}
        if not _is_list(body):
            [speech] = speeches
            headers |= told(speech.answers[0], *speech.notices)
            return Response(speech.wav(), media_type="audio/wav", headers=headers)
        answer = {
            "success": True,
            "message": f"{len(speeches)} clips.",
            "sample_rate": SPEECH_SAMPLE_RATE_HZ,
            "audio_count": len(speeches),
            "audio_data": [_base64(speech.wav()) for speech in speeches],
            "generation_time": round(took_s, 3),
        }
        return JSONResponse(answer, headers=headers)

    @router.post("/voice_clone/sse", response_class=Response, responses={200: {"content": {SSE_MEDIA_TYPE: {}}}})
    async def voice_clone_events(
        body: VoiceCloneRequest, request: Request, model_size: str = "", streaming: bool = Query(True)
    ) -> Response:
        """Speak in a copied voice; answers with events, each piece of sound the moment it is made."""
        if _is_list(body):
            raise InvalidRequest("text: one text at a time can be streamed.", param="text")
        [clip] = _clips(body)
        voices = await manners(body, [clip], model_size, live=streaming)
        at_once = 1 if streaming else settings.parallel_sentences
        one = Narration(clip.text, clip.language, voices[clip.voice], body.split_sentences is not False, at_once)
        events = _events(narrate(tts, one), clip.text)
        return await begin_stream(request, events, SSE_MEDIA_TYPE, {"Cache-Control": "no-cache"})

    return router


async def _events(pieces: AsyncGenerator[Piece, None], text: str) -> AsyncGenerator[bytes, None]:
    """Yield meta, audio as it comes, and done; or error, when the speech breaks off in the middle."""
    began, last, number = time.perf_counter(), time.perf_counter(), 0
    async with aclosing(pieces):
        try:
            async for piece in pieces:
                if number == 0:
                    meta = {"status": "generating", "text": text}
                    yield event("meta", meta | _noted(piece.answer.notices))
                now = time.perf_counter()
                chunk: dict[str, Any] = {
                    "chunk_index": number,
                    "audio": _base64(wav_file(piece.pcm, SPEECH_SAMPLE_RATE_HZ)),
                    "sample_rate": SPEECH_SAMPLE_RATE_HZ,
                    "generation_time": round(now - last, 3),
                }
                yield event("audio", chunk | _noted(" ".join(piece.notices)))
                last, number = now, number + 1
        except ServiceError as error:
            if number == 0:
                raise
            yield event("error", {"code": error.code, "message": error.detail})
            return
    yield event("done", {"total_time": round(time.perf_counter() - began, 3), "total_chunks": number})


def _noted(notice: str) -> dict[str, str]:
    return {"notice": notice} if notice else {}


def _is_list(body: VoiceCloneRequest) -> bool:
    return any(isinstance(getattr(body, name), list) for name in _LISTABLE)


def _clips(body: VoiceCloneRequest) -> list[_Clip]:
    fields: dict[str, list[Any]] = {
        name: value if isinstance(value, list) else [value] for name in _LISTABLE for value in [getattr(body, name)]
    }
    count = max(len(values) for values in fields.values())
    if count > _MOST_TEXTS:
        raise InvalidRequest(f"text: at most {_MOST_TEXTS} clips in one request.", param="text")
    for name, values in fields.items():
        if len(values) not in (1, count):
            raise InvalidRequest(f"{name}: {len(values)} of them for {count} clips; send 1 or {count}.", param=name)
    columns = [values * count if len(values) == 1 else values for values in fields.values()]
    return [
        _Clip(text, language, _Voice(ref_audio, ref_text or "", x_vector_only))
        for text, language, ref_audio, ref_text, x_vector_only in zip(*columns, strict=True)
    ]


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
