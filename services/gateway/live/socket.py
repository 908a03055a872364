"""One WebSocket connection: whole groups of messages out, in order, and nothing of an answer that was interrupted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import suppress

from fastapi import WebSocket, WebSocketDisconnect

from services.contract.errors import ServiceError

Message = Mapping[str, object] | bytes
"""An event, or the binary message it announced."""

NORMAL, BROKEN = 1000, 1011
"""Codes a connection is closed with (RFC 6455)."""

_LONGEST_REASON_BYTES = 123


class Stalled(Exception):
    """The client reads nothing any more."""


class LiveSocket:
    """What one client is sent. `generation` goes up with every interruption."""

    def __init__(self, websocket: WebSocket, stalled_s: float) -> None:
        """A client that reads nothing for `stalled_s` is given up."""
        self._websocket = websocket
        self._stalled_s = stalled_s
        self._sending = asyncio.Lock()
        self._writing: set[asyncio.Task[None]] = set()
        self.generation = 0

    async def receive(self, within_s: float) -> str | None:
        """Return the next text message, the empty string for a binary one; None when the client has left.

        Raises `asyncio.TimeoutError` when none comes `within_s`.
        """
        message = await asyncio.wait_for(self._websocket.receive(), within_s)
        if message["type"] == "websocket.disconnect":
            return None
        return str(message.get("text") or "")

    async def send(
        self, *messages: Message, generation: int | None = None, begun: Callable[[], None] | None = None
    ) -> None:
        """Send all of `messages` or, once their generation has been interrupted, none.

        A group that has begun is sent to its end, even where this is cancelled; `begun` is called then.
        Raises `Stalled`.
        """
        writing = asyncio.create_task(self._write(messages, generation, begun))
        self._writing.add(writing)
        writing.add_done_callback(self._written)
        await asyncio.shield(writing)

    async def refuse(self, error: ServiceError, **place: object) -> None:
        """Tell what went wrong, and in which place."""
        told = {"type": "error", "message": error.detail, "code": error.code, "param": error.param}
        await self.send({name: value for name, value in (told | place).items() if value is not None})

    async def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Close the connection, if it is still there."""
        for writing in list(self._writing):
            writing.cancel()
        with suppress(RuntimeError, WebSocketDisconnect, asyncio.TimeoutError):
            told = reason.encode(errors="replace")[:_LONGEST_REASON_BYTES].decode(errors="ignore")
            await asyncio.wait_for(self._websocket.close(code, told), self._stalled_s)

    async def _write(
        self, messages: tuple[Message, ...], generation: int | None, begun: Callable[[], None] | None
    ) -> None:
        async with self._sending:
            if generation is not None and generation != self.generation:
                return
            if begun is not None:
                begun()
            for message in messages:
                try:
                    await asyncio.wait_for(self._send(message), self._stalled_s)
                except asyncio.TimeoutError as error:
                    raise Stalled from error

    async def _send(self, message: Message) -> None:
        try:
            if isinstance(message, bytes):
                await self._websocket.send_bytes(message)
            else:
                await self._websocket.send_text(json.dumps(message, ensure_ascii=False))
        except RuntimeError as error:  # as Starlette tells that the connection is closed
            raise WebSocketDisconnect from error

    def _written(self, writing: asyncio.Task[None]) -> None:
        self._writing.discard(writing)
        if not writing.cancelled():
            writing.exception()  # it is raised where it is awaited, unless that was cancelled
