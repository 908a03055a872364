"""NewAvata's HTTP API, so that its clients work against Talkie unchanged."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

from anyio import to_thread
from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, ValidationError

from services.chassis.problems import invalid_request_of
from services.chassis.sse import SSE_MEDIA_TYPE, message
from services.chassis.streaming import begin_stream, unless_disconnected
from services.contract.errors import InvalidRequest, ServiceError, Unavailable
from services.contract.newavata import (
    Availability,
    CancelAsk,
    Cancelled,
    Finished,
    LipSyncAsk,
    ListedAvatar,
    ListedEngine,
    QueueStatus,
    SaveAsk,
    Saved,
    ServerStatus,
)
from services.gateway.clients import AvatarClient
from services.gateway.newavata.failures import FAILURES, NewAvataRoute
from services.gateway.newavata.results import Results
from services.gateway.newavata.serving import NewAvataStudio
from services.gateway.speakers import Speakers

_MEDIA_TYPES = {".mp4": "video/mp4", ".webm": "video/webm"}

M = TypeVar("M", bound=BaseModel)


def newavata_router(studio: NewAvataStudio, speakers: Speakers, avatar: AvatarClient, results: Results) -> APIRouter:
    """Return NewAvata's routes."""
    router = APIRouter(tags=["newavata"], route_class=NewAvataRoute, responses=FAILURES)

    @router.post("/api/v2/lipsync")
    async def lipsync(request: Request) -> Finished:
        """Make a film, and answer with its URL once it is done."""
        ask = await _body(request, LipSyncAsk)
        made = await unless_disconnected(request, studio.film(ask))
        return Finished(
            video_path=str(made.result.path),
            video_url=studio.url_of(made.result),
            elapsed=round(made.elapsed.total, 3),
            persistent=made.result.persistent,
        )

    @router.post("/api/v2/lipsync/stream", response_class=Response)
    async def lipsync_stream(request: Request) -> Response:
        """Make a film, and tell by server-sent events what is done."""
        ask = await _body(request, LipSyncAsk)
        return await begin_stream(request, _encoded(studio, ask), SSE_MEDIA_TYPE)

    @router.get("/api/v2/status")
    async def status() -> ServerStatus:
        """Say what there is."""
        names = [info.name for info in await avatar.avatars()]
        engines = [speaker.id for speaker in await speakers.listed()]
        return ServerStatus(models_loaded=await _loaded(avatar), available_avatars=names, tts_engines=engines)

    @router.get("/api/avatars")
    async def avatars() -> list[ListedAvatar]:
        """List the avatars."""
        return [ListedAvatar(id=info.name, name=info.title, path=info.name) for info in await avatar.avatars()]

    @router.get("/api/tts_engines")
    async def tts_engines() -> list[ListedEngine]:
        """List the speech engines with their voices."""
        return await speakers.listed()

    @router.get("/api/availability")
    async def availability() -> Availability:
        """Say whether a film would begin at once."""
        return studio.availability()

    @router.get("/api/queue_status", response_model_exclude_none=True)
    async def queue_status() -> QueueStatus:
        """Say how much there is to do, and how full the GPU is where there is one."""
        try:
            gpu = (await avatar.engine()).gpu
        except ServiceError:
            gpu = None  # how long the queue is does not depend on it
        return QueueStatus(**studio.turns.load.model_dump(), gpu=gpu)

    @router.get("/video/{filename}", response_class=FileResponse)
    async def video(filename: str) -> Response:
        """Return a finished film; parts of it can be asked for."""
        found = await to_thread.run_sync(results.find, filename)
        return FileResponse(found.path, media_type=_MEDIA_TYPES[found.path.suffix])

    @router.post("/api/video/save")
    async def save(request: Request) -> Saved:
        """Keep a film for good."""
        asked = await _body(request, SaveAsk)
        saved = await to_thread.run_sync(results.save, asked.video_url)
        return Saved(saved_url=studio.url_of(saved), message="The film stays.")

    @router.post("/api/cancel")
    async def cancel(request: Request) -> Cancelled:
        """Cancel a request by the `sid` it came with, or that its events tell."""
        asked = await _body(request, CancelAsk)
        return Cancelled(removed_from_queue=studio.turns.cancel(asked.sid))

    return router


async def _encoded(studio: NewAvataStudio, ask: LipSyncAsk) -> AsyncGenerator[bytes, None]:
    async with aclosing(studio.events(ask)) as events:
        async for event in events:
            yield message(event.model_dump(exclude_none=True))


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
