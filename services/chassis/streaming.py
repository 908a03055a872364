"""Streams that fail honestly and stop when the reader leaves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import aclosing, suppress
from typing import Any, TypeVar

from anyio import fail_after
from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from services.contract.errors import ServiceError

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Stream(StreamingResponse):
    """A streaming answer of `first` and `rest`, which is closed as soon as the client has left.

    One that takes nothing for `stalled_s` has left, too.
    """

    def __init__(
        self,
        first: bytes,
        rest: AsyncIterator[bytes],
        media_type: str,
        headers: Mapping[str, str] | None,
        stalled_s: float | None = None,
    ) -> None:
        super().__init__(_rejoin(first, rest), media_type=media_type, headers=headers)
        self._rest: Any = rest
        self._stalled_s = stalled_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # The body's own generator may never be started, so that only this closes what it reads from.
        async with aclosing(self._rest):
            try:
                await super().__call__(scope, receive, self._impatient(send))
            except ServiceError as error:
                # Returning without the last chunk makes the server cut the connection: the honest end.
                _log.warning("stream broken off: %s: %s", error.code, error.detail)

    def _impatient(self, send: Send) -> Send:
        if self._stalled_s is None:
            return send

        async def send_in_time(message: Message) -> None:
            try:
                with fail_after(self._stalled_s):
                    await send(message)
            except TimeoutError as error:
                _log.warning("stream broken off: its client has read nothing for %g s", self._stalled_s)
                raise ClientDisconnect from error

        return send_in_time


async def begin_stream(
    request: Request,
    source: AsyncIterator[bytes],
    media_type: str,
    headers: Mapping[str, str] | None = None,
    stalled_s: float | None = None,
) -> Stream:
    """Return `source` as an answer, once its first piece is there.

    An error before the first byte is therefore an ordinary problem answer; a later one breaks the
    connection, so that a cut stream is never taken for a whole one. A client that reads nothing for
    `stalled_s` is given up; without it, one may hold the work back for as long as it likes.
    """
    closable: Any = source
    try:
        first = await unless_disconnected(request, _first(source))
    except BaseException:  # cancellation too: the client may leave in the very moment the first piece is there
        await closable.aclose()
        raise
    return Stream(first, source, media_type, headers, stalled_s)


async def unless_disconnected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Await `work`, but cancel it when the client leaves first. The request's body must have been read."""
    task = asyncio.create_task(work)
    gone = asyncio.create_task(_until_disconnected(request))
    try:
        await asyncio.wait([task, gone], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientDisconnect
    finally:
        for pending in (task, gone):
            pending.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.wait([task, gone])


async def _until_disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _first(source: AsyncIterator[bytes]) -> bytes:
    async for piece in source:
        return piece
    return b""


async def _rejoin(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece
