"""Live films over WebRTC: a player POSTs what it can receive, and is answered with a connection."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from anyio import to_thread
from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

from services.chassis.problems import problem_response
from services.contract.errors import (
    InvalidRequest,
    MethodNotAllowed,
    ServiceError,
    TooLarge,
    Unavailable,
    UnsupportedMedia,
)
from services.gateway.casting import Casting
from services.gateway.live.webrtc.broadcast import WHEP_PATH, Broadcasts
from services.gateway.settings import GatewaySettings

if TYPE_CHECKING:
    from services.gateway.live.webrtc.viewers import Viewers

SDP_MEDIA_TYPE = "application/sdp"

_LARGEST_OFFER_BYTES = 64 * 1024

_PLAYERS_ANYWHERE = {
    # The id of a session is the key to it. No cookie is, so that another site's page can do no more than its author.
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Content-Type, Authorization",
    "Access-Control-Expose-Headers": "Location, Retry-After",
    "Access-Control-Max-Age": "86400",
}

_OFFER: dict[str, Any] = {
    "requestBody": {"content": {SDP_MEDIA_TYPE: {"schema": {"type": "string"}}}, "required": True}
}


class WebRtc:
    """The viewers of all live films. What is behind them takes a while to load, and waits for the first."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._viewers: Viewers | None = None

    async def viewers(self) -> Viewers:
        """Return them; raises `Unavailable` where the library is not installed."""
        if self._viewers is None:
            made = await to_thread.run_sync(_loaded)
            self._viewers = self._viewers or made(self._settings.live_viewers, self._settings.live_ice_servers)
        return self._viewers

    async def aclose(self) -> None:
        """Send all viewers away."""
        if self._viewers is not None:
            await self._viewers.aclose()


class _OpenRoute(APIRoute):
    """Answers pages of any origin, and its refusals are read there, too."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handle_openly(request: Request) -> Response:
            try:
                response = await handle(request)
            except ServiceError as error:
                response = problem_response(error, request.url.path)
            response.headers.update(_PLAYERS_ANYWHERE)
            return response

        return handle_openly


def whep_router(casting: Casting, broadcasts: Broadcasts, webrtc: WebRtc) -> APIRouter:
    """Return the routes below `/v1/video/whep`."""
    router = APIRouter(prefix=WHEP_PATH, tags=["live"], route_class=_OpenRoute)

    @router.post("", status_code=201, response_class=Response, openapi_extra=_OFFER)
    async def watch(request: Request, session: str = "") -> Response:
        """Watch the film of a live session: an SDP offer in, the answer out, with all candidates in both."""
        casting.check_video()
        offer = await _offer(request)
        broadcast = broadcasts.find(session)
        admission = await (await webrtc.viewers()).admit(broadcast, offer)
        headers = {"Location": f"{request.url.path}/{admission.viewer_id}"}
        return Response(admission.sdp, 201, headers, media_type=SDP_MEDIA_TYPE)

    @router.delete("/{viewer}", response_class=Response)
    async def leave(viewer: str) -> Response:
        """Stop watching."""
        (await webrtc.viewers()).dismiss(viewer)
        return Response()

    @router.patch("/{viewer}", status_code=405, response_class=Response)
    async def change(request: Request) -> Response:
        """Refuse candidates that come later, and new starts of a connection."""
        refused = "Candidates cannot follow later: wait for all of them, then POST the offer."
        return _refusal(request, refused, "DELETE, OPTIONS")

    @router.api_route("", methods=["GET", "HEAD", "PUT", "PATCH", "DELETE"], include_in_schema=False)
    async def no_watching(request: Request) -> Response:
        return _refusal(request, "POST an offer of what the player can receive.", "POST, OPTIONS")

    @router.api_route("/{viewer}", methods=["GET", "HEAD", "PUT", "POST"], include_in_schema=False)
    async def no_viewing(request: Request) -> Response:
        return _refusal(request, "A viewer can only leave: DELETE.", "DELETE, OPTIONS")

    @router.options("", status_code=204, response_class=Response)
    @router.options("/{viewer}", status_code=204, response_class=Response)
    async def allowed() -> Response:
        """Tell browsers that pages of other origins may ask."""
        return Response(status_code=204, headers={"Accept-Post": SDP_MEDIA_TYPE})

    return router


async def _offer(request: Request) -> str:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != SDP_MEDIA_TYPE:
        raise UnsupportedMedia(f"Send the offer as {SDP_MEDIA_TYPE}.")
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _LARGEST_OFFER_BYTES:
            raise TooLarge(f"An offer may have {_LARGEST_OFFER_BYTES // 1024} KiB at most.")
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest("The offer must be UTF-8.") from error


def _refusal(request: Request, detail: str, allowed: str) -> Response:
    response = problem_response(MethodNotAllowed(detail), request.url.path)
    response.headers["Allow"] = allowed
    return response


def _loaded() -> type[Viewers]:
    try:
        from services.gateway.live.webrtc.viewers import Viewers
    except ModuleNotFoundError as error:
        raise Unavailable("WebRTC is not installed here: pip install aiortc.") from error
    return Viewers
