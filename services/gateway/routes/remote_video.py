"""The video endpoints where an existing NewAvata server makes the films: it speaks and animates by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from services.chassis.streaming import unless_disconnected
from services.contract.errors import InvalidRequest, Unavailable
from services.contract.headers import ENGINE_HEADER, notice_headers
from services.contract.newavata import AUTO_AVATAR, PRESETS, LipSyncAsk, ListedEngine, Resolution
from services.contract.speech import AUTO
from services.contract.video import LIPSYNC_MEDIA_TYPE
from services.gateway.casting import Casting
from services.gateway.finish import FilmFile, fragmented, pieces, size_bytes
from services.gateway.newavata.client import NewAvataClient
from services.gateway.requests import VideoAsk, VideoRequest, read_video_ask

_ENGINE = "newavata"
_FILM: dict[int | str, dict[str, Any]] = {200: {"content": {LIPSYNC_MEDIA_TYPE: {}}}}
_TRANSLATED = {
    *("text", "avatar", "avatar_path", "voice", "tts_voice", "tts_engine"),
    *("quality", "size", "frame_skip"),
    "ref_audio",  # is refused
}


def remote_video_router(casting: Casting, server: NewAvataClient) -> APIRouter:
    """Return the routes below `/video` that a NewAvata server can serve."""
    router = APIRouter(prefix="/video", tags=["video"])

    @router.post("/generate", response_class=Response, responses=_FILM)
    async def generate(request: Request) -> Response:
        """Have a film made and answer with it."""
        film, notices = await made(request)
        return answer(film, notices)

    @router.get("/stream", response_class=Response, responses=_FILM)
    @router.post("/stream", response_class=Response, responses=_FILM)
    async def stream(request: Request) -> Response:
        """Have a film made and answer with it as a fragmented MP4, once it is done."""
        film, notices = await made(request)
        return answer(await to_thread.run_sync(fragmented, film), notices)

    async def made(request: Request) -> tuple[FilmFile, dict[str, str]]:
        asked = await read_video_ask(request)
        casting.check_text(asked.request.text)
        film = await unless_disconnected(request, server.film(translated(asked)))
        return film, notice_headers(*_left_out(asked))

    def answer(film: FilmFile, notices: dict[str, str]) -> Response:
        headers = {ENGINE_HEADER: _ENGINE, "Content-Length": str(size_bytes(film))} | notices
        return StreamingResponse(pieces(film), media_type=LIPSYNC_MEDIA_TYPE, headers=headers)

    @router.get("/avatars")
    async def avatars() -> dict[str, list[str]]:
        """List the server's avatars."""
        return {"avatars": [avatar.id for avatar in await server.avatars()]}

    @router.post("/avatars")
    @router.post("/avatars/{name}/prepare")
    @router.get("/avatars/{name}/portrait")
    async def not_here(name: str = "") -> None:
        """Refuse: avatars are seen to on the NewAvata server."""
        raise Unavailable("Avatars live on the NewAvata server here (USE_NEWAVATA_API=true); see to them there.")

    @router.get("/tts_engines")
    async def tts_engines() -> list[ListedEngine]:
        """List the server's speech engines with their voices."""
        return await server.engines()

    @router.get("/status")
    async def status() -> dict[str, Any]:
        """Say which server makes the films, and what it has."""
        told = await server.status()
        return {
            "status": told.status,
            "video_engine": _ENGINE,
            "tts_engine": next(iter(told.tts_engines), ""),
            "available_avatars": told.available_avatars,
        }

    return router


def translated(asked: VideoAsk) -> LipSyncAsk:
    """Return what is asked of the server; raises `InvalidRequest` for what it cannot do."""
    request = asked.request
    if asked.avatar_image is not None:
        raise InvalidRequest("avatar_image: a NewAvata server animates its own avatars only.", param="avatar_image")
    if asked.ref_audio is not None or request.ref_audio:
        raise InvalidRequest("ref_audio: a NewAvata server has voices of its own only.", param="ref_audio")
    return LipSyncAsk(
        text=request.text,
        avatar=request.avatar_name or AUTO_AVATAR,
        quality=request.quality or "high",
        resolution=_resolution(request),
        frame_skip=request.frame_skip if "frame_skip" in request.model_fields_set else None,
        tts_engine=request.tts_engine or None,
        tts_voice=request.voice_name or None,
    )


def _resolution(request: VideoRequest) -> Resolution | None:
    if not request.size:
        return None
    height = min(request.frame_size)
    for resolution, _ in PRESETS.values():
        if resolution == f"{height}p":
            return resolution
    raise InvalidRequest(f"size: a NewAvata server makes 720p, 480p and 360p, not {request.size}.", param="size")


def _left_out(asked: VideoAsk) -> Iterator[str]:
    """Yield what of a request the server does not know."""
    known = _TRANSLATED | ({"language"} if asked.request.language == AUTO else set())
    given = asked.request.model_fields_set - known
    if unknown := [field for field in VideoRequest.model_fields if field in given]:
        yield f"A NewAvata server is not told {', '.join(unknown)}."
