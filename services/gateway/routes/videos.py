"""Films as jobs, as OpenAI's clients ask for them."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, Literal

from anyio import to_thread
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import FileResponse, JSONResponse

from services.chassis.sse import HEARTBEAT, SSE_MEDIA_TYPE, event
from services.chassis.streaming import begin_stream
from services.contract.errors import Conflict, NotFound, Unavailable
from services.contract.jobs import VideoDeleted, VideoJob, VideoJobList
from services.contract.video import LIPSYNC_MEDIA_TYPE
from services.gateway.bodies import body_schema
from services.gateway.jobs.asking import RemixAsk, VideoJobAsk, read_job_ask
from services.gateway.jobs.record import JobEvent
from services.gateway.jobs.shelf import FilmShelf
from services.gateway.jobs.videos import VideoJobs
from services.gateway.naming import text_named

_EVENTS: dict[int | str, dict[str, Any]] = {200: {"content": {SSE_MEDIA_TYPE: {}}}}
_FILM: dict[int | str, dict[str, Any]] = {200: {"content": {LIPSYNC_MEDIA_TYPE: {}}}}

_Key = Annotated[str, Header(alias="Idempotency-Key", max_length=255)]
_Authorization = Annotated[str, Header(alias="Authorization")]


def videos_router(videos: VideoJobs, shelf: FilmShelf) -> APIRouter:
    """Return the routes below `/v1/videos`. Jobs belong to who sent the same `Authorization`."""
    router = APIRouter(prefix="/v1/videos", tags=["jobs"])

    @router.post("", response_model=VideoJob, openapi_extra=body_schema(VideoJobAsk))
    async def create(request: Request, key: _Key = "", authorization: _Authorization = "") -> Response:
        """Ask for a film; workers make it. The same `Idempotency-Key` asks for it once."""
        asked = await read_job_ask(request)
        with text_named("scenes" if asked.ask.scenes else "prompt"):
            job, replayed = await videos.create(asked, _owner(authorization), key)
        return JSONResponse(job.model_dump(mode="json"), headers=_replayed(replayed))

    @router.get("")
    async def listed(
        after: Annotated[str, Query(max_length=100)] = "",
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        order: Literal["asc", "desc"] = "desc",
        authorization: _Authorization = "",
    ) -> VideoJobList:
        """List the jobs."""
        jobs, more = await videos.listed(_owner(authorization), after, limit, newest_first=order == "desc")
        ids = [job.id for job in jobs]
        first, last = (ids[0], ids[-1]) if ids else (None, None)
        return VideoJobList(data=jobs, first_id=first, last_id=last, has_more=more)

    @router.get("/{video_id}")
    async def get(video_id: str, authorization: _Authorization = "") -> VideoJob:
        """Tell how far a job is."""
        return (await videos.get(video_id, _owner(authorization))).job

    @router.get("/{video_id}/content", response_class=Response, responses=_FILM)
    async def content(
        video_id: str, variant: Literal["video"] = "video", authorization: _Authorization = ""
    ) -> Response:
        """Fetch the film of a completed job."""
        job = (await videos.get(video_id, _owner(authorization))).job
        if job.status != "completed":
            wait_s = None if job.status == "failed" else max(1, round(job.eta_seconds or 1))
            raise Conflict(f"There is no film of it: the job is {job.status}.", retry_after_s=wait_s)
        path = shelf.path(video_id)
        if not await to_thread.run_sync(path.is_file):
            raise NotFound("The film is gone; make it again.", param="video_id")
        return FileResponse(path, media_type=LIPSYNC_MEDIA_TYPE, filename=f"{video_id}.mp4")

    @router.get("/{video_id}/events", response_class=Response, responses=_EVENTS)
    async def events(
        request: Request,
        video_id: str,
        last_event_id: Annotated[str, Header(alias="Last-Event-ID")] = "",
        authorization: _Authorization = "",
    ) -> Response:
        """Follow a job by server-sent events; `Last-Event-ID` resumes."""
        told = await videos.events(video_id, _owner(authorization), last_event_id)
        return await begin_stream(request, _encoded(told), SSE_MEDIA_TYPE, {"Cache-Control": "no-cache"})

    @router.post("/{video_id}/remix")
    async def remix(
        video_id: str, ask: RemixAsk, response: Response, key: _Key = "", authorization: _Authorization = ""
    ) -> VideoJob:
        """Ask for the same film with another text; sentences that stay are not rendered again."""
        with text_named("prompt"):
            job, replayed = await videos.remix(video_id, ask.prompt, _owner(authorization), key)
        response.headers.update(_replayed(replayed))
        return job

    @router.delete("/{video_id}")
    async def delete(video_id: str, authorization: _Authorization = "") -> VideoDeleted:
        """Call a job off, or remove its film."""
        await videos.delete(video_id, _owner(authorization))
        return VideoDeleted(id=video_id)

    return router


def no_videos_router() -> APIRouter:
    """Return the routes below `/v1/videos` where a NewAvata server makes the films: they say that there are no jobs."""
    router = APIRouter(prefix="/v1/videos", tags=["jobs"])

    async def refuse() -> None:
        """Refuse: jobs are made segment by segment, by an avatar service."""
        raise Unavailable(
            "There are no jobs where a NewAvata server makes the films (USE_NEWAVATA_API=true); "
            "POST /video/generate answers with the film."
        )

    for path in ("", "/{path:path}"):
        router.add_api_route(path, refuse, methods=["GET", "POST", "DELETE"], include_in_schema=False)
    return router


def _owner(authorization: str) -> str:
    """Return whose jobs these are: what a client authorizes with tells it from others, and is not kept."""
    return hashlib.sha256(authorization.encode()).hexdigest()[:32] if authorization else "anybody"


def _replayed(replayed: bool) -> dict[str, str]:
    return {"Idempotency-Replayed": "true"} if replayed else {}


async def _encoded(events: AsyncGenerator[JobEvent | None, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(events):
        yield HEARTBEAT
        async for told in events:
            yield HEARTBEAT if told is None else event(told.type, told.job.model_dump(mode="json"), told.id)
