"""Plain ASGI middleware: request ids and the limit on bodies. Neither buffers a stream."""

from __future__ import annotations

import re
import uuid
from contextlib import suppress

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.chassis.logs import request_id
from services.chassis.problems import REQUEST_ID_HEADER, problem_response
from services.contract.errors import TooLarge

_WELL_FORMED_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")


_ANSWERS = frozenset({"http.response.start", "websocket.http.response.start", "websocket.accept"})


class RequestIdMiddleware:
    """Takes the caller's `X-Request-ID` or makes one, and sends it back."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(REQUEST_ID_HEADER, "")
        ident = given if _WELL_FORMED_ID.fullmatch(given) else uuid.uuid4().hex

        async def send_with_id(message: Message) -> None:
            if message["type"] in _ANSWERS:
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = ident
            await send(message)

        # Never reset: the server gives every request a context of its own, and errors are told after we return.
        request_id.set(ident)
        await self._app(scope, receive, send_with_id)


class BodyLimitMiddleware:
    """Answers 413 to a body over the limit: at once when its length is declared, else once it grows past."""

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "0")
        if declared.isdigit() and int(declared) > self._max_body_bytes:
            await problem_response(self._error(), scope["path"])(scope, receive, send)
            return
        received = 0
        over = answered = False

        async def receive_within_limit() -> Message:
            nonlocal received, over
            message = await receive()
            received += len(message.get("body", b""))
            over = over or received > self._max_body_bytes
            return {"type": "http.disconnect"} if over else message

        async def send_unless_over(message: Message) -> None:
            nonlocal answered
            if answered or not over:
                answered = True
                await send(message)

        # Frameworks wrap what a body reader raises, so an overlong body looks like a client that left.
        with suppress(ClientDisconnect):
            await self._app(scope, receive_within_limit, send_unless_over)
        if over and not answered:
            await problem_response(self._error(), scope["path"])(scope, receive, send)

    def _error(self) -> TooLarge:
        return TooLarge(f"The body is larger than {self._max_body_bytes // 1024**2} MiB; send a smaller file.")
