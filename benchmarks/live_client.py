"""A client of the live sockets that notes when everything came."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

SPEECH, VIDEO = "/v1/audio/speech/stream", "/v1/video/stream"


@dataclass(frozen=True)
class Arrival:
    """A message, and when it came."""

    at_s: float
    event: dict[str, Any]
    """Its JSON; of a binary message, that which announced it."""
    data: bytes = b""


@dataclass
class LiveClient:
    """One connection. Everything that comes is kept; of binary messages only that they came, if it `forgets`."""

    socket: ClientConnection
    forgets: bool = False
    arrivals: list[Arrival] = field(default_factory=list)
    on_arrival: Callable[[Arrival], None] = lambda arrival: None
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def listen(self) -> None:
        """Take all that comes until the end."""
        event: dict[str, Any] = {}
        async for raw in self.socket:
            if isinstance(raw, str):
                event = json.loads(raw)
                arrival = Arrival(time.perf_counter(), event)
            else:
                arrival = Arrival(time.perf_counter(), event, raw)
            self.on_arrival(arrival)
            self.arrivals.append(replace(arrival, data=arrival.data[:1]) if self.forgets else arrival)
            self._news.set()

    async def say(self, **message: object) -> float:
        """Send a message; return when."""
        await self.socket.send(json.dumps(message))
        return time.perf_counter()

    async def write(self, text: str) -> float:
        """Send what the text goes on with; return when."""
        return await self.say(type="input.text", text=text)

    async def until(self, wanted: Callable[[Arrival], bool], since: int = 0) -> Arrival:
        """Return the first arrival, from number `since` on, that is `wanted`."""
        while True:
            self._news.clear()
            for arrival in self.arrivals[since:]:
                if wanted(arrival):
                    return arrival
                since += 1
            await asyncio.wait_for(self._news.wait(), 60)


@asynccontextmanager
async def live(url: str, path: str, *, forgets: bool = False, **config: object) -> AsyncIterator[LiveClient]:
    """Give a configured connection."""
    async with connect(url.replace("http", "ws", 1) + path, max_size=None, compression=None) as socket:
        client = LiveClient(socket, forgets)
        listening = asyncio.create_task(client.listen())
        try:
            await client.say(type="session.config", language="English", **config)
            yield client
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


def is_event(kind: str) -> Callable[[Arrival], bool]:
    """Whether something is an event of this type, rather than what it announced."""
    return lambda arrival: arrival.event.get("type") == kind and not arrival.data


def is_sound(arrival: Arrival) -> bool:
    """Whether it is a binary message."""
    return bool(arrival.data)


def is_speech(arrival: Arrival) -> bool:
    """Whether it is a fragment in which something is said."""
    return bool(arrival.data) and arrival.event["type"] == "video.fragment" and not arrival.event["idle"]
