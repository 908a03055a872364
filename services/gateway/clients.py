"""The gateway's side of the two services."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote, unquote

import httpx
from pydantic import TypeAdapter

from services.contract.errors import EngineFailed, InvalidRequest, ServiceError
from services.contract.events import SPEECH_STREAM, SpeechDecoder, encode_speech
from services.contract.headers import (
    CACHE_HEADER,
    COPIED_HEADER,
    ENGINE_HEADER,
    LANGUAGE_HEADER,
    NOTICE_HEADER,
    TAKES_HEADER,
    VOICE_HEADER,
)
from services.contract.speech import (
    AudioChunk,
    CacheStats,
    ReferenceInfo,
    SpeechEngineInfo,
    SpeechRequest,
    StoredVoice,
    VoiceConsent,
)
from services.contract.video import AvatarInfo, FrameParams, LipSyncEngineInfo, LipSyncParams, Preparation
from services.gateway.calling import CONNECT_TIMEOUT_S, ServiceClient
from services.gateway.fresh import Fresh

_log = logging.getLogger(__name__)

_PREPARING_TIMEOUT = httpx.Timeout(1800.0, connect=CONNECT_TIMEOUT_S)
"""A face may have to be followed through a long clip before there is an answer."""
_ASKED_EVERY_S = 5.0
_AVATARS = TypeAdapter(list[AvatarInfo])
_ENGINES = TypeAdapter(list[SpeechEngineInfo])
_STORED_VOICES = TypeAdapter(list[StoredVoice])


@dataclass(frozen=True)
class SpeechAnswer:
    """What the tts service made of a request, and its sound as it comes."""

    engine: str
    language: str
    voice: str
    notices: str
    takes: int
    cached: bool
    copied: bool
    """Whether the voice is somebody's own, who may have what was made with it deleted."""
    chunks: AsyncIterator[AudioChunk]


class Animator(Protocol):
    """Whoever makes the pictures: the avatar service, or another server in its place."""

    async def name(self) -> str:
        """Return the name of its engine; raises `Unavailable`."""

    async def check_ready(self) -> None:
        """Return when it is ready; raise `Unavailable` otherwise."""

    async def aclose(self) -> None:
        """Close the connections."""


class TtsClient(ServiceClient):
    """The tts service."""

    def __init__(self, urls: str) -> None:
        super().__init__("tts", urls)
        self._engines = Fresh(self._all_engines, _ASKED_EVERY_S)

    async def engine(self) -> SpeechEngineInfo:
        """Return which engine speaks unless another is asked for, and its voices."""
        return SpeechEngineInfo.model_validate_json(await self._get("/v1/engine"))

    async def name(self) -> str:
        """Return the name of the engine that speaks unless another is asked for."""
        return (await self.engine()).engine

    async def engines(self) -> list[SpeechEngineInfo]:
        """Return all engines that speak here, as they were some seconds ago: nearly every request asks."""
        return await self._engines.get()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._engines.aclose()
        await super().aclose()

    async def _all_engines(self) -> list[SpeechEngineInfo]:
        return _ENGINES.validate_json(await self._get("/v1/engines"))

    @asynccontextmanager
    async def speak(self, request: SpeechRequest, patience_s: float = 0.0) -> AsyncIterator[SpeechAnswer]:
        """Give the speech of one text as it is made; where all lanes are busy, wait so long for one."""
        body = request.model_dump_json(exclude_defaults=True)
        headers = {"Content-Type": "application/json"}
        asked = self._http.build_request("POST", "/v1/speech", content=body, headers=headers)
        async with self._admitted(asked, patience_s) as answer:
            told = answer.headers
            yield SpeechAnswer(
                engine=told[ENGINE_HEADER],
                language=told[LANGUAGE_HEADER],
                voice=unquote(told[VOICE_HEADER]),
                notices=unquote(told.get(NOTICE_HEADER, "")),
                takes=int(told.get(TAKES_HEADER, 1)),
                cached=told.get(CACHE_HEADER) == "hit",
                copied=COPIED_HEADER in told,
                chunks=_chunks(answer),
            )

    async def add_reference(self, audio: bytes) -> ReferenceInfo:
        """Have reference audio checked and kept for a while."""
        headers = {"Content-Type": "application/octet-stream"}
        request = self._http.build_request("POST", "/v1/references", content=audio, headers=headers)
        return ReferenceInfo.model_validate_json((await self._read(request)).content)

    async def stored_voices(self) -> list[StoredVoice]:
        """Return the voices that were stored."""
        return _STORED_VOICES.validate_json(await self._get("/v1/voices"))

    async def store_voice(self, name: str, sample: bytes, transcript: str, consent: str) -> StoredVoice:
        """Store a voice under a name."""
        fields = {"name": name, "transcript": transcript, "consent": consent}
        request = self._http.build_request("POST", "/v1/voices", data=fields, files={"audio_sample": sample})
        return StoredVoice.model_validate_json((await self._read(request)).content)

    async def remove_voice(self, name: str) -> StoredVoice:
        """Remove a stored voice and what was made with it."""
        request = self._http.build_request("DELETE", f"/v1/voices/{quote(name, safe='')}")
        voice = StoredVoice.model_validate_json((await self._read(request)).content)
        try:
            await self._everywhere("DELETE", f"/v1/references/{voice.reference}")
        except ServiceError as error:
            _log.warning("a replica may still hold what was made with the voice %s: %s", voice.id, error.detail)
        return voice

    async def add_consent(self, name: str, language: str, recording: bytes) -> VoiceConsent:
        """Keep a recorded consent."""
        fields = {"name": name, "language": language}
        request = self._http.build_request("POST", "/v1/consents", data=fields, files={"recording": recording})
        return VoiceConsent.model_validate_json((await self._read(request)).content)

    async def cache_stats(self) -> CacheStats:
        """Return how the speech caches of all replicas do together."""
        told = [CacheStats.model_validate_json(answer) for answer in await self._everywhere("GET", "/v1/cache/stats")]
        return CacheStats.together(told)

    async def clean_cache(self) -> int:
        """Drop what is out of date everywhere, and return how much that was."""
        return sum(_removed(answer) for answer in await self._everywhere("POST", "/v1/cache/cleanup"))

    async def clear_cache(self) -> int:
        """Drop all kept speech everywhere, and return how much that was."""
        return sum(_removed(answer) for answer in await self._everywhere("DELETE", "/v1/cache/clear"))


class AvatarClient(ServiceClient):
    """The avatar service."""

    def __init__(self, urls: str) -> None:
        super().__init__("avatar", urls)
        self._engine = Fresh(self.engine, _ASKED_EVERY_S)

    async def engine(self) -> LipSyncEngineInfo:
        """Return which engine animates."""
        return LipSyncEngineInfo.model_validate_json(await self._get("/v1/engine"))

    async def revision(self) -> str:
        """Return which engine animates, as it was some seconds ago: what it makes changes with it."""
        info = await self._engine.get()
        return f"{info.engine} {info.revision}"

    async def aclose(self) -> None:
        """Close the connections."""
        await self._engine.aclose()
        await super().aclose()

    async def name(self) -> str:
        """Return the name of the engine that animates."""
        return (await self.engine()).engine

    async def avatars(self) -> list[AvatarInfo]:
        """Return the avatars there are."""
        return _AVATARS.validate_json(await self._get("/v1/avatars"))

    async def add_avatar(self, picture: bytes, *, name: str = "", keep: bool) -> AvatarInfo:
        """Make an avatar of a picture or a clip: for good under `name`, or only in the service's memory."""
        params = {"keep": str(keep).lower()} | ({"name": name} if name else {})
        headers = {"Content-Type": "application/octet-stream"}
        request = self._http.build_request(
            "POST", "/v1/avatars", params=params, content=picture, headers=headers, timeout=_PREPARING_TIMEOUT
        )
        return AvatarInfo.model_validate_json((await self._read(request)).content)

    async def remove_avatar(self, name: str) -> None:
        """Remove an avatar that was added."""
        await self._read(self._http.build_request("DELETE", f"/v1/avatars/{quote(name, safe='')}"))

    async def prepare(self, name: str, params: FrameParams) -> AsyncGenerator[Preparation, None]:
        """Have an avatar prepared, and yield how far it is; leaving ends the work."""
        path = f"/v1/avatars/{quote(name, safe='')}/prepare"
        request = self._http.build_request("POST", path, params=params.model_dump(mode="json", exclude_none=True))
        async with self._answer(request) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("data:"):
                    yield Preparation.model_validate_json(line.removeprefix("data:"))

    async def portrait(self, name: str) -> tuple[bytes, str]:
        """Return a small picture of an avatar, and its media type."""
        answer = await self._read(self._http.build_request("GET", f"/v1/avatars/{quote(name, safe='')}/portrait"))
        return answer.content, answer.headers["Content-Type"]

    @asynccontextmanager
    async def lipsync(
        self, params: LipSyncParams, speech: AudioChunk, patience_s: float = 0.0
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Give one segment as it is rendered; where all lanes are busy, wait so long for one."""
        request = self._http.build_request(
            "POST",
            "/v1/lipsync",
            params=params.model_dump(mode="json", exclude_none=True),
            content=encode_speech(speech),
            headers={"Content-Type": SPEECH_STREAM},
            timeout=_PREPARING_TIMEOUT,
        )
        async with self._admitted(request, patience_s) as answer:
            yield answer.aiter_raw()


def _removed(answer: bytes) -> int:
    return int(json.loads(answer)["removed"])


async def _chunks(answer: httpx.Response) -> AsyncIterator[AudioChunk]:
    decoder, silent = SpeechDecoder(), True
    try:
        async for data in answer.aiter_raw():
            for chunk in decoder.feed(data):
                silent = False
                yield chunk
        decoder.finish()
    except InvalidRequest as error:  # of the service's, not of our client's
        raise EngineFailed(f"The tts service sent no whole speech stream; try again. ({error.detail})") from error
    if silent:
        raise EngineFailed("The tts service made no sound of a sentence; reword it.")
