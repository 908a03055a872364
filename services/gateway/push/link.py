"""One WebSocket connection, on which the messages of one or many sessions go out in turn."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress

from pydantic import ValidationError
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from services.contract.push import SUBPROTOCOL, PushAck
from services.gateway.push.sizing import ChunkSize

_log = logging.getLogger(__name__)

_SAID_ENOUGH = (1000, 1005)
"""Close codes of who has all it wanted: a normal closure, and one without a code."""

Acknowledge = Callable[[int], None]
"""Is told the index of what a server says it has."""


class LinkLost(Exception):
    """The connection is gone, or was never made; says why."""


class Link:
    """A connection that is open."""

    def __init__(self, connection: ClientConnection, size: ChunkSize, close_timeout_s: float) -> None:
        self.size = size
        self.shared = connection.subprotocol == SUBPROTOCOL
        """Whether the server takes many sessions on it, and acknowledges by messages."""
        self._connection = connection
        self._close_timeout_s = close_timeout_s
        self._sessions: dict[str, Acknowledge] = {}
        self._turn = asyncio.Lock()
        self._busy_until = self._heard_at = time.monotonic()
        self.lost = asyncio.create_task(self._read())
        """Is done when the connection is."""

    @property
    def unused(self) -> bool:
        """Whether it has no session."""
        return not self._sessions

    @property
    def silent_s(self) -> float:
        """For how long the server has said nothing at all."""
        return time.monotonic() - self._heard_at

    @property
    def closed_well(self) -> bool:
        """Whether the server closed it as one does who has all."""
        return self._connection.close_code in _SAID_ENOUGH

    @property
    def reason(self) -> str:
        """Why it is gone."""
        code, why = self._connection.close_code, self._connection.close_reason
        return f"the server closed the connection ({code}{f' {why!r}' if why else ''})"

    def join(self, request_id: str, acknowledge: Acknowledge) -> None:
        """Add a session."""
        self._sessions[request_id] = acknowledge

    def leave(self, request_id: str) -> None:
        """Remove a session."""
        self._sessions.pop(request_id, None)

    async def send(self, message: str, ponged: Callable[[], None] | None = None, measured_bytes: int = 0) -> None:
        """Send a message when it is its turn, and a ping after it, whose pong says that everything before it arrived.

        Raises `LinkLost`. The lock is fair: each session sends one message after one of every other.
        """
        async with self._turn:
            began = time.monotonic()
            try:
                await self._connection.send(message)
            except ConnectionClosed as error:
                raise LinkLost(self.reason) from error
            with suppress(ConnectionClosed):  # the message is gone; `lost` tells that no pong will come
                pong = asyncio.ensure_future(await self._connection.ping())
                pong.add_done_callback(lambda pong: self._heard(pong, began, ponged, measured_bytes))

    async def close(self, code: int = 1000) -> None:
        """Close it; one whose server does not answer in time is cut."""
        # The library's own limit does not hold while the server reads nothing.
        closing = asyncio.create_task(self._connection.close(code))
        await asyncio.wait([closing], timeout=self._close_timeout_s)
        self.abort()
        await asyncio.wait([closing, self.lost])

    def abort(self) -> None:
        """Cut it."""
        self._connection.transport.abort()

    def _heard(
        self, pong: asyncio.Future[float], began: float, ponged: Callable[[], None] | None, measured_bytes: int
    ) -> None:
        if pong.cancelled() or pong.exception() is not None:
            return
        now = self._heard_at = time.monotonic()
        if measured_bytes:
            self.size.measure(measured_bytes, now - max(began, self._busy_until))
        self._busy_until = now
        if ponged is not None:
            ponged()

    async def _read(self) -> None:
        """Listen until the connection is gone: to acknowledgements; whatever else is said is no concern of ours."""
        try:
            async for message in self._connection:
                self._heard_at = time.monotonic()
                try:
                    ack = PushAck.model_validate_json(message)
                except ValidationError:
                    _log.debug("not understood: %d characters of the push server", len(message))
                    continue
                if (acknowledge := self._sessions.get(ack.request_id)) is not None:
                    acknowledge(ack.chunk_index)
        except ConnectionClosed:
            return
