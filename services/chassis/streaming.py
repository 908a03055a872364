"""Streams that fail honestly and stop when the reader leaves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import aclosing, suppress
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from services.contract.errors import ServiceError

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Stream(StreamingResponse):
    """A streaming answer of `first` and `rest`, which is closed as soon as the client has left."""

    def __init__(
        self, first: bytes, rest: AsyncIterator[bytes], media_type: str, headers: Mapping[str, str] | None
    ) -> None:
        super().__init__(_rejoin(first, rest), media_type=media_type, headers=headers)
        self._rest: Any = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # The body's own generator may never be started, so that only this closes what it reads from.
        async with aclosing(self._rest):
            try:
                await super().__call__(scope, receive, send)
            except ServiceError as error:
                # Returning without the last chunk makes the server cut the connection: the honest end.
                _log.warning("stream broken off: %s: %s", error.code, error.detail)


async def begin_stream(
    request: Request, source: AsyncIterator[bytes], media_type: str, headers: Mapping[str, str] | None = None
) -> Stream:
    """Return `source` as an answer, once its first piece is there.

    An error before the first byte is therefore an ordinary problem answer; a later one breaks the
    connection, so that a cut stream is never taken for a whole one.
    """
    closable: Any = source
    try:
        first = await unless_disconnected(request, _first(source))
    except BaseException:  # cancellation too: the client may leave in the very moment the first piece is there
        await closable.aclose()
        raise
    return Stream(first, source, media_type, headers)


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
