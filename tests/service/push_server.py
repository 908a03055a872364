"""A server that speech is pushed to. It does as the protocol says, and misbehaves on command."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import Request, Response, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.typing import Subprotocol

from services.contract.push import SUBPROTOCOL

GARBAGE: tuple[str | bytes, ...] = (
    "not JSON",
    b"\x00\xff",
    "[" * 5_000,
    "{}",
    '{"type": "ack"}',
    '{"type": "ack", "requestId": "nobody", "chunkIndex": 0}',
    '{"type": "ack", "requestId": "r1", "chunkIndex": 999999}',
    '{"type": "ack", "requestId": "r1", "chunkIndex": -1}',
    '{"type": "ack", "requestId": "r1", "chunkIndex": "x"}',
)


@dataclass
class Manners:
    """How it behaves; what it does wrong, it does on its first `times` connections."""

    shares: bool = False
    """Whether it selects the subprotocol, and therefore acknowledges."""
    acks: bool = False
    """Whether it acknowledges without."""
    opens_after_s: float = 0.0
    """How long it takes to accept each connection."""
    refuses: int = 0
    """Connections that are answered with 503."""
    times: int = 1
    closes_after: int | None = None
    """Chunks of a connection, after which it closes it."""
    close_code: int = 1001
    closes_at_end: bool = False
    """Whether it hangs up as soon as it has the end, as many do."""
    aborts_after_bytes: int | None = None
    loses_after: int | None = None
    """Chunks of a connection, after which it is as dead as without power; its line is cut a little later."""
    forgets_after: int | None = None
    """The same, but its connection goes on to answer pings: only the program is dead."""
    ignores: str = ""
    """A request whose chunks it neither takes nor acknowledges."""
    reads_every_s: float = 0.0
    never_reads: bool = False
    never_pongs: bool = False
    garbage: bool = False


@dataclass
class Visit:
    """One connection, and what came over it."""

    headers: dict[str, str]
    subprotocol: str | None
    compressed: bool
    messages: list[dict[str, Any]] = field(default_factory=list)
    acknowledged: list[tuple[str, int]] = field(default_factory=list)
    """Of which request, and which chunk."""

    def chunks(self, request_id: str = "r1") -> list[dict[str, Any]]:
        return [one for one in self.messages if "chunkIndex" in one and one["metadata"]["requestId"] == request_id]


class _Connection(ServerConnection):
    """A connection that can be made to break off, and to answer no pings."""

    deaf = False
    breaks_after: int | None = None

    def data_received(self, data: bytes) -> None:
        if self.breaks_after is not None:
            data = data[: self.breaks_after]
            self.breaks_after -= len(data)
        super().data_received(data)
        if self.breaks_after == 0:
            self.transport.abort()

    def be_deaf(self) -> None:
        """Answer no pings any more."""
        send_frame = self.protocol.send_frame

        def all_but_pongs(frame: Frame) -> None:
            if frame.opcode is not Opcode.PONG:
                send_frame(frame)

        self.protocol.send_frame = all_but_pongs  # type: ignore[method-assign]


class PushServer:
    """Keeps what it is sent."""

    def __init__(self, manners: Manners) -> None:
        self.manners = manners
        self.visits: list[Visit] = []
        self.refused = 0
        self.opening = self.most_opening = 0
        """Connections that it is about to accept, now and at most."""
        self.url = ""
        self._news = asyncio.Event()

    async def until(self, is_so: Callable[[], object]) -> None:
        """Return once it has read so much: what its connection has taken in, it may read a little later."""
        while not is_so():
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), 10)

    def received(self, request_id: str = "r1") -> list[dict[str, Any]]:
        """Return all chunks of a request, as they came."""
        return [chunk for visit in self.visits for chunk in visit.chunks(request_id)]

    def sound(self, request_id: str = "r1") -> bytes:
        """Return what a client makes of it: duplicates dropped, in the order in which it came."""
        kept: dict[int, bytes] = {}
        for chunk in self.received(request_id):
            kept.setdefault(chunk["chunkIndex"], base64.b64decode(chunk["audioDataBase64"]))
        assert list(kept) == list(range(len(kept))), "in order, without a gap"
        return b"".join(kept.values())

    def read_twice(self, request_id: str = "r1") -> int:
        """Return how many chunks of a request it has read beside the first of each."""
        indices = [chunk["chunkIndex"] for chunk in self.received(request_id)]
        return len(indices) - len(set(indices))

    def read_in_vain(self, request_id: str = "r1") -> list[int]:
        """Return the chunks of a request that came again though an earlier connection had acknowledged them."""
        known: set[int] = set()
        again: list[int] = []
        for visit in self.visits:
            again += [chunk["chunkIndex"] for chunk in visit.chunks(request_id) if chunk["chunkIndex"] in known]
            known |= {index for name, index in visit.acknowledged if name == request_id}
        return again

    def ends(self, request_id: str = "r1") -> list[dict[str, Any]]:
        """Return the last messages of a request."""
        messages = [message for visit in self.visits for message in visit.messages if "status" in message]
        return [message for message in messages if message["metadata"]["requestId"] == request_id]

    async def handle(self, connection: ServerConnection) -> None:
        assert isinstance(connection, _Connection)
        assert connection.request is not None
        visit = Visit(
            dict(connection.request.headers.raw_items()),
            connection.subprotocol,
            any(extension.name == "permessage-deflate" for extension in connection.protocol.extensions),
        )
        self.visits.append(visit)
        wrong = self.manners if len(self.visits) <= self.manners.times else Manners(shares=self.manners.shares)
        connection.breaks_after = wrong.aborts_after_bytes
        if wrong.never_pongs:
            connection.be_deaf()
        if wrong.never_reads:
            connection.transport.pause_reading()
            await connection.wait_closed()
        with suppress(ConnectionClosed):
            await self._listen(connection, visit, wrong)

    async def _listen(self, connection: _Connection, visit: Visit, wrong: Manners) -> None:
        async for data in connection:
            message = json.loads(data)
            if wrong.garbage:
                for nonsense in GARBAGE:
                    await connection.send(nonsense)
            if wrong.ignores and message.get("metadata", {}).get("requestId") == wrong.ignores:
                continue
            await asyncio.sleep(wrong.reads_every_s)
            visit.messages.append(message)
            self._news.set()
            seen = sum("chunkIndex" in one for one in visit.messages)
            if seen and seen == wrong.loses_after:
                connection.be_deaf()
                await self._dead(connection)
                return
            if seen and seen == wrong.forgets_after:
                await self._dead(connection)
                return
            if self.manners.shares or self.manners.acks:
                await self._acknowledge(connection, visit, message)
            if seen and seen == wrong.closes_after:
                await connection.close(wrong.close_code)
                return
            if wrong.closes_at_end and "status" in message:
                await connection.close()

    async def _dead(self, connection: _Connection) -> None:
        """Take in what comes for a while without doing anything with it, and cut the line."""
        await asyncio.sleep(0.1)
        connection.transport.abort()

    async def _acknowledge(self, connection: ServerConnection, visit: Visit, message: dict[str, Any]) -> None:
        if "metadata" in message:
            request_id, index = message["metadata"]["requestId"], message.get("chunkIndex", message.get("totalChunks"))
            await connection.send(json.dumps({"type": "ack", "requestId": request_id, "chunkIndex": index}))
            if not connection.transport.is_closing():  # a line that was cut takes what nobody gets
                visit.acknowledged.append((request_id, index))

    async def answer(self, connection: ServerConnection, request: Request) -> Response | None:
        self.opening += 1
        self.most_opening = max(self.opening, self.most_opening)
        await asyncio.sleep(self.manners.opens_after_s)
        self.opening -= 1
        if self.refused >= self.manners.refuses:
            return None
        self.refused += 1
        return connection.respond(503, "not now\n")


@asynccontextmanager
async def push_server(manners: Manners | None = None) -> AsyncIterator[PushServer]:
    """Run one on loopback until the block ends."""
    server = PushServer(manners or Manners())
    async with serve(
        server.handle,
        "127.0.0.1",
        0,
        subprotocols=[Subprotocol(SUBPROTOCOL)] if server.manners.shares else None,
        process_request=server.answer,
        create_connection=_Connection,
        close_timeout=0.5,
    ) as running:
        host, port = running.sockets[0].getsockname()[:2]
        server.url = f"ws://{host}:{port}/push"
        yield server
