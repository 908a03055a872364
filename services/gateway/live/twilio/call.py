"""One telephone call: what is played to the caller, and how far that has come."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass

from fastapi import WebSocketDisconnect

from services.chassis.ending import end_tasks
from services.contract.errors import Conflict
from services.gateway.live.said import Said
from services.gateway.live.socket import BROKEN, LiveSocket, Stalled
from services.gateway.live.twilio.messages import CALL_RATE_HZ, Media, Start, clear, mark, media

_log = logging.getLogger(__name__)

_AHEAD_S = 2.0
"""Sound that Twilio holds at most: enough to hide a late sentence or an uneven network. An interruption leaves no
more than this unheard, which was spoken for nothing, and `clear` waits behind no more than this on the way."""

_MOST_EVENTS = 1_000
"""Events that wait for an application: twenty seconds of the caller's sound. Whoever lags behind more is given up."""

GREETING = -1
"""Index of the utterance that a call begins with."""


class CallOver(Exception):
    """The caller has hung up, or Twilio the stream."""


@dataclass(frozen=True)
class Place:
    """A sentence of what is said."""

    utterance_index: int
    sentence_index: int


class CallEvents:
    """What happens in a call, for the application that speaks in it."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[dict[str, object] | None] = asyncio.Queue(_MOST_EVENTS)
        self._lost = False
        self.caller_audio = False
        """Whether the caller's sound is wanted."""

    def tell(self, event: dict[str, object] | None) -> None:
        """Have an event sent; None after the last one."""
        try:
            self._waiting.put_nowait(event)
        except asyncio.QueueFull:
            self._lost = True

    async def next(self) -> dict[str, object] | None:
        """Return the next event, None after the last one; raises `Stalled` once one was lost."""
        if self._lost:
            raise Stalled
        return await self._waiting.get()


class Call:
    """One stream of Twilio's."""

    def __init__(self, socket: LiveSocket, start: Start) -> None:
        self._socket = socket
        self._marks: dict[str, Place] = {}
        self._marked = 0
        self._plays_until = 0.0
        """When Twilio has played all it was sent, by the event loop's clock."""
        self._clearing: asyncio.Task[None] | None = None
        self._speaking: set[asyncio.Task[None]] = set()
        self._events: CallEvents | None = None
        self.start = start
        self.greeting: asyncio.Task[None] | None = None
        self.over = False
        self.said = Said()
        self.played: Place | None = None
        """The last sentence that the caller has heard to its end."""

    @property
    def generation(self) -> int:
        """How often the call was interrupted."""
        return self._socket.generation

    async def play(self, sound: bytes, generation: int) -> None:
        """Have µ-law played, unless its generation was interrupted; waits while Twilio has enough.

        Raises `CallOver`.
        """
        clock = asyncio.get_running_loop().time
        await asyncio.sleep(max(0.0, self._plays_until - _AHEAD_S - clock()))
        await self._send(media(self.start.stream_sid, sound), generation)
        if generation == self.generation:
            self._plays_until = max(self._plays_until, clock()) + len(sound) / CALL_RATE_HZ

    async def mark(self, place: Place, generation: int) -> None:
        """Have it told when what was sent so far, up to the end of a sentence, has been played."""
        self._marked += 1
        if generation == self.generation:
            self._marks[str(self._marked)] = place
        await self._send(mark(self.start.stream_sid, str(self._marked)), generation)

    def interrupt(self) -> None:
        """Stop what is said: nothing more of it is sent, and what Twilio still holds is dropped."""
        self._socket.generation += 1
        self._marks.clear()  # Twilio tells them as soon as it clears, though nobody has heard them
        self._plays_until = 0.0
        if self.greeting is not None:
            self.greeting.cancel()
        self._clearing = asyncio.create_task(self._clear())

    def heard(self, name: str) -> None:
        """Take from Twilio that it has played everything up to a mark."""
        if (place := self._marks.pop(name, None)) is not None:
            self.played = place
            self.tell({"type": "playback", **asdict(place)})

    def caller_said(self, sound: Media) -> None:
        """Take what the caller says."""
        if self._events is not None and self._events.caller_audio:
            self.tell({"type": "caller.media", "audio_b64": sound.payload, "timestamp_ms": sound.timestamp})

    def tell(self, event: dict[str, object]) -> None:
        """Tell the application something, where there is one."""
        if self._events is not None:
            self._events.tell(event)

    @contextmanager
    def followed(self) -> Iterator[CallEvents]:
        """Give an application the events of the call while the block lasts; raises `Conflict` where one has them."""
        if self._events is not None:
            raise Conflict("An application speaks in this call already; it has to leave first.")
        self._events = CallEvents()
        try:
            yield self._events
        finally:
            self._events = self.played = None
            self._marks = {name: place for name, place in self._marks.items() if place.utterance_index == GREETING}

    @contextmanager
    def speaking(self) -> Iterator[None]:
        """Let the end of the call cancel the current task, while the block lasts."""
        task = asyncio.current_task()
        assert task is not None
        self._speaking.add(task)
        try:
            yield
        finally:
            self._speaking.discard(task)

    async def end(self) -> None:
        """Say that the call is over."""
        self.over = True
        await end_tasks(*(task for task in (*self._speaking, self.greeting, self._clearing) if task is not None))
        if self._events is not None:
            self._events.tell(None)
        if self.greeting is not None and not self.greeting.cancelled():
            self.greeting.result()  # nobody else would learn what broke there

    async def _clear(self) -> None:
        with suppress(CallOver):
            await self._write(clear(self.start.stream_sid), None)

    async def _send(self, message: Mapping[str, object], generation: int) -> None:
        if self._clearing is not None:
            await asyncio.wait([self._clearing])  # which would drop this as well
        await self._write(message, generation)

    async def _write(self, message: Mapping[str, object], generation: int | None) -> None:
        if self.over:
            raise CallOver
        try:
            await self._socket.send(message, generation=generation)
        except (WebSocketDisconnect, Stalled) as error:
            _log.info("call %s: nothing is read there any more", self.start.stream_sid)
            self.over = True
            await self._socket.close(BROKEN, "nothing is read there")
            raise CallOver from error
