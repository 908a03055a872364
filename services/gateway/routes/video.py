"""Talking heads: finished films, films while they are made, and the avatars to choose from."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Query, Request, Response, UploadFile
from fastapi.params import Form
from fastapi.responses import StreamingResponse
from pydantic import TypeAdapter

from services.chassis.sse import SSE_MEDIA_TYPE, message
from services.chassis.streaming import begin_stream, unless_disconnected
from services.contract.newavata import ListedEngine
from services.contract.video import LIPSYNC_MEDIA_TYPE, AvatarInfo, FrameParams
from services.gateway.answers import Answers
from services.gateway.bodies import body_schema
from services.gateway.casting import Cast, Casting
from services.gateway.clients import AvatarClient, TtsClient
from services.gateway.finish import PIECE_BYTES, FilmFile, faststart, gather, size_bytes
from services.gateway.laying import SentenceSpoken
from services.gateway.pipeline import FilmEvent, FilmMaker, Fragment, fragments_of
from services.gateway.requests import VideoRequest, read_video_ask
from services.gateway.script import Script
from services.gateway.speakers import Speakers
from services.gateway.telling import told

_SCRIPT = TypeAdapter(Script)
_EVENTS: dict[int | str, dict[str, Any]] = {200: {"content": {SSE_MEDIA_TYPE: {}}}}
_FILM: dict[int | str, dict[str, Any]] = {200: {"content": {LIPSYNC_MEDIA_TYPE: {}}}}


def video_router(
    casting: Casting, films: FilmMaker, speakers: Speakers, tts: TtsClient, avatar: AvatarClient, answers: Answers
) -> APIRouter:
    """Return the routes below `/video`."""
    router = APIRouter(prefix="/video", tags=["video"])

    @router.post("/generate", response_class=Response, responses=_FILM, openapi_extra=body_schema(VideoRequest))
    async def generate(request: Request) -> Response:
        """Make a film and answer with the finished MP4. A file `avatar_image` is animated instead of an avatar."""
        cast = await casting.cast(await read_video_ask(request))
        key = answers.key(_told_apart(cast)) if cast.script.use_cache and cast.seen else ""
        if key and (known := await answers.get(key)) is not None:
            return Response(known.body, media_type=LIPSYNC_MEDIA_TYPE, headers=dict(known.headers))
        made = await unless_disconnected(request, _finished(films, cast.script))
        headers = _told(cast, made.spoken[0]) | {"Content-Disposition": 'inline; filename="talkie.mp4"'}
        sized = headers | {"Content-Length": str(size_bytes(made.film))}
        body = _each(made.film)
        if key:
            body = answers.kept(key, headers, body, lambda: made.as_asked)
        return StreamingResponse(body, media_type=LIPSYNC_MEDIA_TYPE, headers=sized)

    @router.get("/stream", response_class=Response, responses=_FILM)
    @router.post("/stream", response_class=Response, responses=_FILM, openapi_extra=body_schema(VideoRequest))
    async def stream(request: Request) -> Response:
        """Make a film and answer with a fragmented MP4 that plays while it is still being made."""
        cast = await casting.cast(await read_video_ask(request))
        film = films.film(cast.script)
        spoken = await unless_disconnected(request, _first_sentence(film))
        return await begin_stream(request, fragments_of(film), LIPSYNC_MEDIA_TYPE, _told(cast, spoken))

    @router.get("/avatars")
    async def list_avatars() -> dict[str, list[str]]:
        """List the avatars by name."""
        return {"avatars": [info.name for info in await avatar.avatars()]}

    @router.post("/avatars", status_code=201)
    async def add_avatar(image: UploadFile, name: str = Form(max_length=100)) -> AvatarInfo:  # type: ignore[assignment]
        """Keep a picture or a clip as an avatar under a name."""
        return await avatar.add_avatar(await image.read(), name=name, keep=True)

    @router.post("/avatars/{name}/prepare", response_class=Response, responses=_EVENTS)
    async def prepare(request: Request, name: str, params: Annotated[FrameParams, Query()]) -> Response:
        """Do now what the first film with an avatar would wait for; server-sent events tell how far it is."""
        return await begin_stream(request, _preparation(avatar, name, params), SSE_MEDIA_TYPE)

    @router.get("/avatars/{name}/portrait", response_class=Response)
    async def portrait(name: str) -> Response:
        """Return a small picture of an avatar."""
        picture, media_type = await avatar.portrait(name)
        return Response(picture, media_type=media_type, headers={"Cache-Control": "max-age=300"})

    @router.get("/tts_engines")
    async def tts_engines() -> list[ListedEngine]:
        """List the speech engines with their voices."""
        return await speakers.listed()

    @router.get("/status")
    async def status() -> dict[str, Any]:
        """Say which engines make the films."""
        animator = await avatar.engine()
        return {
            "status": "ok",
            "video_engine": animator.engine,
            "tts_engine": (await tts.engine()).engine,
            "available_avatars": animator.avatars,
        }

    return router


async def _each(film: FilmFile) -> AsyncGenerator[bytes, None]:
    with film:
        while piece := await to_thread.run_sync(film.read, PIECE_BYTES):
            yield piece


async def _preparation(avatar: AvatarClient, name: str, params: FrameParams) -> AsyncGenerator[bytes, None]:
    async with aclosing(avatar.prepare(name, params)) as events:
        async for event in events:
            yield message(event.model_dump(mode="json", exclude_none=True))


async def _first_sentence(film: AsyncGenerator[FilmEvent, None]) -> SentenceSpoken:
    """Return the first event of `film`; closes it when there is none to be had."""
    try:
        first = await anext(film)
    except BaseException:
        await film.aclose()
        raise
    assert isinstance(first, SentenceSpoken)
    return first


@dataclass(frozen=True)
class _Finished:
    """A whole film, and who spoke its sentences."""

    film: FilmFile
    spoken: Sequence[SentenceSpoken]

    @property
    def as_asked(self) -> bool:
        """Whether no engine stepped in for another."""
        return not any(sentence.answer.notices for sentence in self.spoken)


async def _finished(films: FilmMaker, script: Script) -> _Finished:
    spoken: list[SentenceSpoken] = []

    async def fragments() -> AsyncGenerator[bytes, None]:
        async with aclosing(films.film(script)) as events:
            async for event in events:
                if isinstance(event, SentenceSpoken):
                    spoken.append(event)
                elif isinstance(event, Fragment):
                    yield event.data

    async with aclosing(fragments()) as data:
        fragmented = await gather(data)
    return _Finished(await to_thread.run_sync(faststart, fragmented), spoken)


def _told_apart(cast: Cast) -> dict[str, object]:
    """Return everything that changes the film of `cast`."""
    return {"script": _SCRIPT.dump_python(cast.script, mode="json"), "seen": cast.seen}


def _told(cast: Cast, spoken: SentenceSpoken) -> dict[str, str]:
    return told(spoken.answer, *cast.notices) | cast.headers
