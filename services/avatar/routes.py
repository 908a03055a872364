"""The routes of the avatar service."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Annotated

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from services.avatar.bodies import RAW_PCM, read_picture, read_speech
from services.avatar.clips import is_clip
from services.avatar.engine import FrameSize
from services.avatar.images import jpeg_preview
from services.avatar.keeping import Keeping
from services.avatar.library import UPLOAD_PREFIX, AvatarLibrary
from services.avatar.lipsync import Actor, LipSync
from services.avatar.preparing import Preparing, unless_left
from services.avatar.segment import Segment, segment_of
from services.avatar.settings import AvatarSettings
from services.chassis.sse import SSE_MEDIA_TYPE, message
from services.chassis.streaming import begin_stream, unless_disconnected
from services.contract.errors import InvalidRequest, NotFound
from services.contract.events import SPEECH_STREAM
from services.contract.headers import CACHE_HEADER, ENGINE_HEADER
from services.contract.video import (
    LIPSYNC_MEDIA_TYPE,
    AvatarInfo,
    FrameParams,
    LipSyncEngineInfo,
    LipSyncParams,
    Preparation,
)

PREVIEW_SIDE_PX = 512

PICTURES_AT_ONCE = 2
"""Pictures decoded side by side: each may take hundreds of megabytes for a moment."""


CLIPS_AT_ONCE = 1
"""Clips whose face is followed side by side: each keeps a core busy for as long as it lasts, about."""


class AddParams(BaseModel):
    """Query of `POST /v1/avatars`."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field("", max_length=100, description="What the avatar will be asked for by; only with keep.")
    keep: bool = Field(False, description="Keep it for good; otherwise it is only remembered for a while, in memory.")


def lipsync_router(settings: AvatarSettings, lip_sync: LipSync, library: AvatarLibrary, keeping: Keeping) -> APIRouter:
    """Return the routes that need the engine."""
    pictures = CapacityLimiter(PICTURES_AT_ONCE)
    router = APIRouter(prefix="/v1", tags=["lipsync"])

    @router.post(
        "/lipsync",
        response_class=Response,
        responses={200: {"content": {LIPSYNC_MEDIA_TYPE: {}}, "description": "Fragmented MP4, as it is rendered."}},
        openapi_extra={"requestBody": {"content": {SPEECH_STREAM: {}, f"{RAW_PCM}; rate=48000; channels=1": {}}}},
    )
    async def lipsync(request: Request, params: Annotated[LipSyncParams, Query()]) -> Response:
        """Make an avatar say a piece of speech: one segment of a film."""
        # The body must be read before the answer begins: a streamed answer listens for the client's leaving.
        body = await request.body()
        content_type = request.headers.get("content-type", "")
        segment = await to_thread.run_sync(_segment, settings, params, content_type, body)
        actor = await _actor(library, keeping, pictures, params.avatar)
        film, cached = await lip_sync.film(actor, segment, use_cache=params.use_cache, urgent=params.urgent)
        headers = {ENGINE_HEADER: lip_sync.engine.name, CACHE_HEADER: "hit" if cached else "miss"}
        return await begin_stream(request, film, LIPSYNC_MEDIA_TYPE, headers)

    @router.get("/engine")
    async def engine() -> LipSyncEngineInfo:
        """Say which engine animates, and the avatars there are."""
        avatars = await to_thread.run_sync(library.list)
        return LipSyncEngineInfo(
            engine=lip_sync.engine.name,
            revision=lip_sync.engine.revision,
            uses_phoneme_marks=lip_sync.engine.uses_phoneme_marks,
            avatars=[info.name for info in avatars],
            gpu=await to_thread.run_sync(lip_sync.engine.gpu),
        )

    return router


def avatar_router(
    settings: AvatarSettings, library: AvatarLibrary, preparing: Preparing, keeping: Keeping
) -> APIRouter:
    """Return the routes of the avatar library."""
    router = APIRouter(prefix="/v1/avatars", tags=["avatars"])
    pictures, clips = CapacityLimiter(PICTURES_AT_ONCE), CapacityLimiter(CLIPS_AT_ONCE)

    @router.get("")
    async def avatars() -> list[AvatarInfo]:
        """List the avatars."""
        return await to_thread.run_sync(library.list)

    @router.post("", status_code=201, openapi_extra={"requestBody": {"content": {"image/*": {}, "video/*": {}}}})
    async def add(request: Request, params: Annotated[AddParams, Query()]) -> AvatarInfo:
        """Make an avatar of a picture, or of a clip that is kept: the body, or the multipart field `picture`."""
        if bool(params.name) != params.keep:
            raise InvalidRequest(
                "A kept avatar needs a name, and only a kept one has one: name=…&keep=true.", param="name"
            )
        data = await read_picture(request, settings.max_picture_bytes, settings.max_clip_bytes)
        if params.keep and is_clip(data):
            async with clips:
                return (await unless_disconnected(request, unless_left(partial(library.add, params.name, data)))).info
        make = partial(library.add, params.name) if params.keep else library.remember
        info = (await to_thread.run_sync(make, data, limiter=pictures)).info
        if not params.keep:
            await keeping.keep_upload(info.name, data)
        return info

    @router.post("/{name}/prepare", response_class=Response, responses={200: {"content": {SSE_MEDIA_TYPE: {}}}})
    async def prepare(request: Request, name: str, params: Annotated[FrameParams, Query()]) -> Response:
        """Do now what the first film with an avatar would wait for, and tell how far it is."""
        events = _encoded(preparing.events(name, _size(settings, params)))
        return await begin_stream(request, events, SSE_MEDIA_TYPE)

    @router.delete("/{name}", status_code=204)
    async def remove(name: str) -> None:
        """Remove an avatar that was added."""
        digest = await to_thread.run_sync(library.remove, name)
        await to_thread.run_sync(preparing.forget, digest)
        await keeping.forget(digest)

    @router.get("/{name}/portrait", response_class=Response, responses={200: {"content": {"image/jpeg": {}}}})
    async def portrait(name: str) -> Response:
        """Return a small picture of an avatar."""
        return Response(await to_thread.run_sync(_preview, library, name, limiter=pictures), media_type="image/jpeg")

    return router


def _segment(settings: AvatarSettings, params: LipSyncParams, content_type: str, body: bytes) -> Segment:
    speech = read_speech(content_type, body)
    if speech.duration_s > settings.longest_segment_s:
        raise InvalidRequest(
            f"{speech.duration_s:.0f} s of speech are more than {settings.longest_segment_s:.0f} s for one segment; "
            "cut it at sentence ends."
        )
    _size(settings, params)
    return segment_of(speech, params)


async def _actor(library: AvatarLibrary, keeping: Keeping, pictures: CapacityLimiter, name: str) -> Actor:
    """Return who is to be animated; a picture that was uploaded to another replica is made an avatar here too."""
    try:
        identity = await to_thread.run_sync(library.identify, name)
    except NotFound:
        if not name.startswith(UPLOAD_PREFIX) or (picture := await keeping.upload(name)) is None:
            raise
        await to_thread.run_sync(library.remember, picture, limiter=pictures)
        identity = await to_thread.run_sync(library.identify, name)
    return Actor(identity, partial(library.find, name))


def _size(settings: AvatarSettings, params: FrameParams) -> FrameSize:
    if params.width * params.height > settings.max_frame_pixels:
        raise InvalidRequest(f"Frames of {params.width}x{params.height} pixels are too large here.", param="width")
    return FrameSize(params.width, params.height)


async def _encoded(events: AsyncGenerator[Preparation, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(events):
        async for event in events:
            yield message(event.model_dump(mode="json", exclude_none=True))


def _preview(library: AvatarLibrary, name: str) -> bytes:
    return jpeg_preview(library.preview(name), PREVIEW_SIDE_PX)
