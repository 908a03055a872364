"""The gateway's side of the two services."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote, unquote

import httpx
from cachetools import TTLCache
from pydantic import TypeAdapter, ValidationError

from services.chassis.logs import request_id
from services.chassis.problems import REQUEST_ID_HEADER
from services.contract.errors import (
    AtCapacity,
    EngineFailed,
    InvalidRequest,
    Problem,
    RemoteError,
    ServiceError,
    Unavailable,
)
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
from services.gateway.replicas import Replica, Replicas

_log = logging.getLogger(__name__)

_CONNECT_TIMEOUT_S = 2.0
_SILENCE_TIMEOUT_S = 120.0
_PREPARING_TIMEOUT = httpx.Timeout(1800.0, connect=_CONNECT_TIMEOUT_S)
"""A face may have to be followed through a long clip before there is an answer."""
PATIENCE_S = 60.0
"""How long work that has begun waits for a lane: refused is who comes, not who was let in."""
_READINESS_TIMEOUT_S = 3.0
_REASON = TypeAdapter(dict[str, str])
_ENGINES_TTL_S = 5.0
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


class _ServiceClient:
    """One service over HTTP; its problems become errors of ours."""

    def __init__(self, name: str, urls: str) -> None:
        """`urls` is what `Replicas` takes."""
        self._name = name
        self.replicas = Replicas(name, urls)
        timeout = httpx.Timeout(_SILENCE_TIMEOUT_S, connect=_CONNECT_TIMEOUT_S)
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=32)
        self._http = httpx.AsyncClient(base_url=self.replicas.base_url, timeout=timeout, limits=limits, trust_env=False)

    async def check_ready(self) -> None:
        """Return when one of the service is ready; raise `Unavailable` otherwise."""
        asking = [asyncio.create_task(self._readiness(replica)) for replica in await self.replicas.all()]
        refusal: ServiceError = Unavailable(f"There is no {self._name} service.")
        try:
            for answer in asyncio.as_completed(asking):
                if (refused := await answer) is None:
                    return
                refusal = refused
        finally:
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
        raise refusal

    async def _readiness(self, replica: Replica) -> ServiceError | None:
        """Return None when the replica is ready, else why it is not."""
        try:
            answer = await self._http.get(f"{replica.url}/health/ready", timeout=_READINESS_TIMEOUT_S)
        except httpx.TransportError as error:
            return self._away(error)
        if answer.status_code == 200:
            return None
        try:
            reason = _REASON.validate_json(answer.content)["reason"]
        except (ValidationError, KeyError):
            reason = f"it answered {answer.status_code}"
        return Unavailable(f"The {self._name} service is not ready: {reason}")

    async def aclose(self) -> None:
        """Close the connections."""
        await self.replicas.aclose()
        await self._http.aclose()

    @asynccontextmanager
    async def _answer(self, request: httpx.Request) -> AsyncIterator[httpx.Response]:
        """Send `request` and give its answer, unread; raises the service's problem."""
        request.headers[REQUEST_ID_HEADER] = request_id.get()
        async with self._opened(request) as (replica, answer):
            try:
                yield answer
            except httpx.TransportError as error:
                replica.failed()
                raise EngineFailed(f"The {self._name} service broke off in the middle; try again.") from error

    @asynccontextmanager
    async def _opened(self, request: httpx.Request) -> AsyncIterator[tuple[Replica, httpx.Response]]:
        """Send `request` to the replica with the least to do; one that is away or full passes it on to the next."""
        tried: list[Replica] = []
        refusal: ServiceError | None = None
        async with AsyncExitStack() as stack:
            while True:
                try:
                    replica = await self.replicas.pick(tried)
                except Unavailable as error:
                    raise refusal or error from error
                tried.append(replica)
                try:
                    answer = await stack.enter_async_context(self._asked(replica, request))
                    break
                except ServiceError as error:
                    if error.code not in (AtCapacity.code, Unavailable.code):
                        raise
                    # One that is full will have room; one that is away may not come back.
                    refusal = error if refusal is None or error.code == AtCapacity.code else refusal
            yield replica, answer

    @asynccontextmanager
    async def _asked(self, replica: Replica, request: httpx.Request) -> AsyncIterator[httpx.Response]:
        target = httpx.URL(replica.url)
        request.url = request.url.copy_with(scheme=target.scheme, host=target.host, port=target.port)
        with replica.working():
            try:
                answer = await self._http.send(request, stream=True)
            except httpx.TransportError as error:
                replica.failed()
                raise self._away(error) from error
            replica.succeeded()
            try:
                if answer.is_error:
                    await answer.aread()
                    raise self._problem(answer)
                yield answer
            finally:
                await answer.aclose()

    @asynccontextmanager
    async def _admitted(self, request: httpx.Request, patience_s: float) -> AsyncIterator[httpx.Response]:
        """Give the answer to `request`; while all lanes are busy, ask again for so long."""
        patient_until = time.monotonic() + patience_s
        async with AsyncExitStack() as stack:
            while True:
                try:
                    answer = await stack.enter_async_context(self._answer(request))
                    break
                except ServiceError as error:
                    if error.code != AtCapacity.code or time.monotonic() >= patient_until:
                        raise
                    await asyncio.sleep(error.retry_after_s or 1)
            yield answer

    async def _read(self, request: httpx.Request) -> httpx.Response:
        async with self._answer(request) as answer:
            await answer.aread()
            return answer

    async def _everywhere(self, method: str, path: str) -> list[bytes]:
        """Ask all replicas; raises what the first one that fails tells."""
        answers: list[bytes] = []
        for replica in await self.replicas.all():
            async with self._asked(replica, self._http.build_request(method, path)) as answer:
                answers.append(await answer.aread())
        return answers

    async def _get(self, path: str) -> bytes:
        return (await self._read(self._http.build_request("GET", path))).content

    def _away(self, error: httpx.TransportError) -> Unavailable:
        return Unavailable(
            f"The {self._name} service at {self._http.base_url} does not answer ({type(error).__name__}).",
            retry_after_s=2,
        )

    def _problem(self, answer: httpx.Response) -> ServiceError:
        try:
            problem = Problem.model_validate_json(answer.content)
        except ValidationError:
            return EngineFailed(f"The {self._name} service answered {answer.status_code} without saying why.")
        retry_after = answer.headers.get("Retry-After", "")
        return RemoteError(problem, int(retry_after) if retry_after.isdigit() else None)


class TtsClient(_ServiceClient):
    """The tts service."""

    def __init__(self, urls: str) -> None:
        super().__init__("tts", urls)
        self._engines: TTLCache[str, list[SpeechEngineInfo]] = TTLCache(1, _ENGINES_TTL_S)

    async def engine(self) -> SpeechEngineInfo:
        """Return which engine speaks unless another is asked for, and its voices."""
        return SpeechEngineInfo.model_validate_json(await self._get("/v1/engine"))

    async def engines(self) -> list[SpeechEngineInfo]:
        """Return all engines that speak here, as they were some seconds ago at most: nearly every request asks."""
        if (known := self._engines.get("all")) is None:
            known = self._engines["all"] = _ENGINES.validate_json(await self._get("/v1/engines"))
        return known

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


class AvatarClient(_ServiceClient):
    """The avatar service."""

    def __init__(self, urls: str) -> None:
        super().__init__("avatar", urls)

    async def engine(self) -> LipSyncEngineInfo:
        """Return which engine animates."""
        return LipSyncEngineInfo.model_validate_json(await self._get("/v1/engine"))

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
