"""NewAvata's HTTP API where a NewAvata server makes the films: its clients are passed on to it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

import httpx
from fastapi import APIRouter, Request, Response

from services.chassis.streaming import begin_stream
from services.contract.errors import EngineFailed
from services.gateway.newavata.client import NewAvataClient
from services.gateway.newavata.failures import NewAvataRoute

_POSTS = ("/api/v2/lipsync", "/api/v2/lipsync/stream", "/api/video/save", "/api/cancel")
_GETS = (
    "/api/v2/status",
    "/api/avatars",
    "/api/tts_engines",
    "/api/availability",
    "/api/queue_status",
    "/video/{filename}",
)
_PASSED_BACK = ("Content-Length", "Content-Range", "Accept-Ranges", "Retry-After")


def newavata_proxy(server: NewAvataClient) -> APIRouter:
    """Return the routes that are passed on."""
    router = APIRouter(tags=["newavata"], route_class=NewAvataRoute)

    async def passed_on(request: Request) -> Response:
        """Ask the NewAvata server, and answer as it does."""
        async with AsyncExitStack() as unless_begun:
            answer = await unless_begun.enter_async_context(server.passed_on(request))
            headers = {name: value for name in _PASSED_BACK if (value := answer.headers.get(name))}
            body = _body(answer, unless_begun.pop_all())
            passed = await begin_stream(request, body, answer.headers.get("Content-Type", ""), headers)
            passed.status_code = answer.status_code
            return passed

    for path in _POSTS:
        router.add_api_route(path, passed_on, methods=["POST"], response_class=Response)
    for path in _GETS:
        router.add_api_route(path, passed_on, methods=["GET"], response_class=Response)
    return router


async def _body(answer: httpx.Response, open_until: AsyncExitStack) -> AsyncGenerator[bytes, None]:
    async with open_until:
        try:
            async for piece in answer.aiter_raw():
                yield piece
        except httpx.TransportError as error:
            raise EngineFailed("The NewAvata server broke off.") from error
