"""An existing NewAvata server over REST: it speaks and animates by itself."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar
from urllib.parse import urlsplit

import anyio
import httpx
from fastapi import Request
from pydantic import TypeAdapter, ValidationError

from services.chassis.sse import SSE_MEDIA_TYPE
from services.contract.errors import AtCapacity, EngineFailed, InvalidRequest, NotFound, ServiceError, Unavailable
from services.contract.newavata import (
    FILM_EVENT,
    Availability,
    DoneEvent,
    ErrorEvent,
    LipSyncAsk,
    ListedAvatar,
    ListedEngine,
    ServerStatus,
)
from services.gateway.finish import FilmFile, gather

_log = logging.getLogger(__name__)

_CONNECT_TIMEOUT_S = 5.0
_SILENCE_TIMEOUT_S = 600.0
"""The server says nothing between its stages, however long a film is."""
_CANCEL_TIMEOUT_S = 2.0
_ERROR_OF_STATUS: dict[int, type[ServiceError]] = {400: InvalidRequest, 404: NotFound, 503: Unavailable}
_PASSED_ON = ("Content-Type", "Accept", "Range")
_REFUSALS = (InvalidRequest, NotFound, Unavailable, AtCapacity)
"""After these there is nothing to cancel."""
_ENGINES = TypeAdapter(list[ListedEngine])
_AVATARS = TypeAdapter(list[ListedAvatar])

T = TypeVar("T")


class NewAvataClient:
    """Asks a NewAvata server for films."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url.rstrip("/")
        timeout = httpx.Timeout(_SILENCE_TIMEOUT_S, connect=_CONNECT_TIMEOUT_S)
        self._http = httpx.AsyncClient(base_url=self._base_url, timeout=timeout, trust_env=False)

    async def status(self) -> ServerStatus:
        """Return what the server has loaded; raises `Unavailable` when it is away."""
        return _checked(TypeAdapter(ServerStatus), await self._get("/api/v2/status"))

    async def name(self) -> str:
        """Return what the server is called."""
        await self.check_ready()
        return "newavata"

    async def check_ready(self) -> None:
        """Return when the server has its models; raise `Unavailable` otherwise."""
        if not (await self.status()).models_loaded:
            raise Unavailable("The NewAvata server has not loaded its models yet.", retry_after_s=5)

    async def avatars(self) -> list[ListedAvatar]:
        """Return the server's avatars; some versions wrap the list."""
        listed = await self._get("/api/avatars")
        return _checked(_AVATARS, listed["avatars"] if isinstance(listed, dict) and "avatars" in listed else listed)

    async def engines(self) -> list[ListedEngine]:
        """Return the server's speech engines."""
        return _checked(_ENGINES, await self._get("/api/tts_engines"))

    async def film(self, ask: LipSyncAsk) -> FilmFile:
        """Return the finished film; whoever gets it closes it. Cancelling this cancels it on the server.

        Raises `AtCapacity` when the server is overloaded, `Unavailable` when it is away or has no
        models, `InvalidRequest` or `EngineFailed` with what it says.
        """
        await self._check_room()
        sid = uuid.uuid4().hex
        try:
            done = await self._made(ask.model_copy(update={"sid": sid}))
        except _REFUSALS:
            raise
        except BaseException:
            await self._cancel(sid)
            raise
        return await self._fetched(done.video_url)

    @asynccontextmanager
    async def passed_on(self, request: Request) -> AsyncIterator[httpx.Response]:
        """Give the server's answer to a request of ours as it is, unread; raises `Unavailable` when it is away."""
        headers = {name: value for name in _PASSED_ON if (value := request.headers.get(name))}
        target = httpx.URL(path=request.url.path, query=request.url.query.encode())
        content = await request.body()
        try:
            async with self._http.stream(request.method, target, headers=headers, content=content) as answer:
                yield answer
        except httpx.ConnectError as error:
            raise self._away() from error

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _check_room(self) -> None:
        """Raise `AtCapacity` when the server says so; older ones do not know the question."""
        try:
            told = _checked(TypeAdapter(Availability), await self._get("/api/availability"))
        except NotFound:
            return
        if not told.available:
            raise AtCapacity(
                f"The NewAvata server is overloaded. {told.message}".strip(),
                retry_after_s=max(1, round(told.estimated_wait_seconds)),
            )

    async def _made(self, ask: LipSyncAsk) -> DoneEvent:
        body = ask.model_dump(mode="json", exclude_none=True)
        headers = {"Accept": SSE_MEDIA_TYPE}
        async with self._answer("POST", "/api/v2/lipsync/stream", json=body, headers=headers) as answer:
            async for line in answer.aiter_lines():
                if not line.startswith("data:"):
                    continue
                event = _event(line.removeprefix("data:").strip())
                if isinstance(event, DoneEvent):
                    return event
                if isinstance(event, ErrorEvent):
                    raise EngineFailed(f"The NewAvata server made no film: {event.message}")
                _log.info("NewAvata: %s: %s", event.stage, event.message)
        raise EngineFailed("The NewAvata server broke off before the film was done; try again.")

    async def _fetched(self, video_url: str) -> FilmFile:
        """Fetch a film from the server we asked, whatever name it calls itself by."""
        path = urlsplit(video_url).path
        async with self._answer("GET", path) as answer:
            return await gather(answer.aiter_bytes())

    async def _cancel(self, sid: str) -> None:
        with anyio.CancelScope(shield=True), suppress(httpx.HTTPError):
            await self._http.post("/api/cancel", json={"sid": sid}, timeout=_CANCEL_TIMEOUT_S)

    async def _get(self, path: str) -> Any:
        async with self._answer("GET", path) as answer:
            content = await answer.aread()
        try:
            return json.loads(content)
        except ValueError as error:
            raise EngineFailed(f"The server at {self._base_url} answered {path} with something else.") from error

    @asynccontextmanager
    async def _answer(self, method: str, path: str, **options: Any) -> AsyncIterator[httpx.Response]:
        """Give the server's answer, unread; raises what it says went wrong."""
        try:
            async with self._http.stream(method, path, **options) as answer:
                if answer.is_error:
                    raise _refusal(answer.status_code, path, await answer.aread())
                yield answer
        except httpx.ConnectError as error:
            raise self._away() from error
        except httpx.TransportError as error:
            raise EngineFailed(f"The NewAvata server broke off ({type(error).__name__}); try again.") from error

    def _away(self) -> Unavailable:
        return Unavailable(
            f"The NewAvata server at {self._base_url} does not answer; start it or set NEWAVATA_API_URL.",
            retry_after_s=5,
        )


def _event(data: str) -> Any:
    try:
        return FILM_EVENT.validate_json(data)
    except ValidationError as error:
        raise EngineFailed(f"The NewAvata server sent an event we do not know: {data[:100]}") from error


def _checked(kind: TypeAdapter[T], content: Any) -> T:
    try:
        return kind.validate_python(content)
    except ValidationError as error:
        raise EngineFailed(f"The NewAvata server answered something else: {error.errors()[0]['msg']}.") from error


def _refusal(status: int, path: str, content: bytes) -> ServiceError:
    try:
        told = str(json.loads(content)["error"])
    except (ValueError, KeyError, TypeError):
        told = f"{path} was answered with {status}"
    kind = _ERROR_OF_STATUS.get(status, EngineFailed)
    return kind(f"The NewAvata server: {told}", retry_after_s=5 if kind is Unavailable else None)
