"""NewAvata's HTTP API, so that its clients work against Talkie unchanged."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

from anyio import to_thread
from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel, ValidationError

from services.chassis.problems import invalid_request_of
from services.chassis.sse import SSE_MEDIA_TYPE, message
from services.chassis.streaming import begin_stream, unless_disconnected
from services.contract.errors import InvalidRequest, ServiceError, Unavailable
from services.contract.newavata import (
    CancelAsk,
    Cancelled,
    Failed,
    Finished,
    LipSyncAsk,
    ListedAvatar,
    ListedEngine,
    QueueStatus,
    SaveAsk,
    Saved,
    ServerStatus,
)
from services.gateway.casting import Casting
from services.gateway.clients import AvatarClient
from services.gateway.newavata.results import Results
from services.gateway.newavata.serving import NewAvataStudio
from services.gateway.speakers import Speakers

_MEDIA_TYPES = {".mp4": "video/mp4", ".webm": "video/webm"}

M = TypeVar("M", bound=BaseModel)


def newavata_router(
    studio: NewAvataStudio,
    casting: Casting,
    speakers: Speakers,
    avatar: AvatarClient,
    results: Results,
) -> APIRouter:
    """Return NewAvata's routes."""
    router = APIRouter(tags=["newavata"])

    @router.post("/api/v2/lipsync", response_model=Finished | Failed)
    async def lipsync(request: Request) -> Response:
        """Make a film, and answer with its URL once it is done."""
        try:
            ask = await _body(request, LipSyncAsk)
            casting.check_video()
            made = await unless_disconnected(request, studio.film(ask))
        except ServiceError as error:
            return _failed(error)
        return JSONResponse(
            Finished(
                video_path=str(made.result.path),
                video_url=studio.url_of(made.result),
                elapsed=round(made.elapsed.total, 3),
                persistent=made.result.persistent,
            ).model_dump()
        )

    @router.post("/api/v2/lipsync/stream", response_class=Response)
    async def lipsync_stream(request: Request) -> Response:
        """Make a film, and tell by server-sent events what is done."""
        try:
            ask = await _body(request, LipSyncAsk)
            casting.check_video()
        except ServiceError as error:
            return _failed(error)
        return await begin_stream(request, _encoded(studio, ask), SSE_MEDIA_TYPE)

    async def _encoded(studio: NewAvataStudio, ask: LipSyncAsk) -> AsyncGenerator[bytes, None]:
        async with aclosing(studio.events(ask)) as events:
            async for event in events:
                yield message(event.model_dump(exclude_none=True))

    @router.get("/api/v2/status", response_model=ServerStatus | Failed)
    async def status() -> ServerStatus | Response:
        """Say what there is."""
        try:
            casting.check_video()
            names = [info.name for info in await avatar.avatars()]
            engines = [speaker.id for speaker in await speakers.listed()]
        except ServiceError as error:
            return _failed(error)
        return ServerStatus(models_loaded=await _loaded(avatar), available_avatars=names, tts_engines=engines)

    @router.get("/api/avatars")
    async def avatars() -> list[ListedAvatar]:
        """List the avatars."""
        casting.check_video()
        return [ListedAvatar(id=info.name, name=info.title, path=info.name) for info in await avatar.avatars()]

    @router.get("/api/tts_engines")
    async def tts_engines() -> list[ListedEngine]:
        """List the speech engines with their voices."""
        casting.check_video()
        return await speakers.listed()

    @router.get("/api/availability", response_class=JSONResponse)
    async def availability() -> Response:
        """Say whether a film would begin at once."""
        casting.check_video()
        return JSONResponse(studio.availability().model_dump())

    @router.get("/api/queue_status", response_class=JSONResponse)
    async def queue_status() -> Response:
        """Say how much there is to do, and how full the GPU is where there is one."""
        casting.check_video()
        load = studio.turns.load.model_dump()
        try:
            gpu = (await avatar.engine()).gpu
        except ServiceError:
            gpu = None  # how long the queue is does not depend on it
        told = QueueStatus.model_validate(load | {"gpu": gpu and gpu.model_dump()})
        return JSONResponse(told.model_dump(exclude_none=True))

    @router.get("/video/{filename}", response_class=FileResponse)
    async def video(filename: str) -> Response:
        """Return a finished film; parts of it can be asked for."""
        casting.check_video()
        found = await to_thread.run_sync(results.find, filename)
        return FileResponse(found.path, media_type=_MEDIA_TYPES[found.path.suffix])

    @router.post("/api/video/save", response_model=Saved | Failed)
    async def save(request: Request) -> Saved | Response:
        """Keep a film for good."""
        try:
            asked = await _body(request, SaveAsk)
            saved = await to_thread.run_sync(results.save, asked.video_url)
        except ServiceError as error:
            return _failed(error)
        return Saved(saved_url=studio.url_of(saved), message="The film stays.")

    @router.post("/api/cancel", response_model=Cancelled | Failed)
    async def cancel(request: Request) -> Cancelled | Response:
        """Cancel a request by the `sid` it came with, or that its events tell."""
        try:
            asked = await _body(request, CancelAsk)
            return Cancelled(removed_from_queue=studio.turns.cancel(asked.sid))
        except ServiceError as error:
            return _failed(error)

    return router


async def _body(request: Request, kind: type[M]) -> M:
    try:
        return kind.model_validate(await request.json())
    except ValidationError as error:
        raise invalid_request_of(error.errors()) from error
    except (ValueError, RecursionError) as error:  # the latter for brackets nested without end
        raise InvalidRequest("The body is no JSON.") from error


async def _loaded(avatar: AvatarClient) -> bool:
    try:
        await avatar.check_ready()
    except Unavailable:
        return False
    return True


def _failed(error: ServiceError) -> Response:
    """Return the error as NewAvata tells its own: it knows 400, 404, 500 and 503 only."""
    known = error.status if error.status in (404, 500, 503) else 400 if error.status < 500 else 500
    headers = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    return JSONResponse(Failed(error=error.detail).model_dump(), known, headers)
