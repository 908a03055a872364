"""Twilio's side of a Media Stream, as Twilio documents it: it plays what it is sent and says how far it is."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

RATE_HZ = 8_000
_TICK_S = 0.01
_INBOUND_S = 0.02
_SILENCE = b"\xff" * round(RATE_HZ * _INBOUND_S)
FORMAT = {"encoding": "audio/x-mulaw", "sampleRate": RATE_HZ, "channels": 1}


class TwilioCall:
    """One call. It plays `speed` times as fast as the clock."""

    def __init__(self, socket: ClientConnection, sid: str, speed: float) -> None:
        self._socket = socket
        self._speed = speed
        self._sequence = 0
        self._waiting: deque[bytes | str] = deque()
        """Sound that was not played yet, and the marks between."""
        self.sid = sid
        self.got: list[dict[str, Any]] = []
        """All that the other side has sent."""
        self.played = bytearray()
        """What the caller has heard."""
        self.marks: list[str] = []
        """The marks that were told."""

    @classmethod
    @asynccontextmanager
    async def connected(
        cls, url: str, sid: str = "MZ1", speed: float = 1.0, headers: dict[str, str] | None = None, **parameters: str
    ) -> AsyncIterator[TwilioCall]:
        """Give a call whose stream has started."""
        async with connect(f"{url.replace('http', 'ws', 1)}/v1/twilio/stream", additional_headers=headers) as socket:
            call = cls(socket, sid, speed)
            await call.begin(parameters)
            tasks = [asyncio.create_task(work()) for work in (call._listen, call._play, call._talk)]
            try:
                yield call
            finally:
                for task in tasks:
                    task.cancel()
                ended = await asyncio.gather(*tasks, return_exceptions=True)
            wrong = [end for end in ended if isinstance(end, Exception) and not isinstance(end, ConnectionClosed)]
            assert not wrong, wrong

    async def begin(self, parameters: dict[str, str]) -> None:
        await self._socket.send(json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"}))
        start = {"streamSid": self.sid, "accountSid": "AC1", "callSid": f"CA-{self.sid}", "tracks": ["inbound"]}
        await self.say("start", start={**start, "customParameters": parameters, "mediaFormat": FORMAT})

    async def say(self, event: str, **fields: object) -> None:
        self._sequence += 1
        message = {"event": event, "sequenceNumber": str(self._sequence), **fields, "streamSid": self.sid}
        await self._socket.send(json.dumps(message))

    async def send_raw(self, raw: str | bytes) -> None:
        await self._socket.send(raw)

    async def press(self, digit: str) -> None:
        await self.say("dtmf", dtmf={"track": "inbound_track", "digit": digit})

    async def hang_up(self) -> None:
        await self.say("stop", stop={"accountSid": "AC1", "callSid": f"CA-{self.sid}"})
        await asyncio.wait_for(self._socket.wait_closed(), 5)

    def events(self, event: str) -> list[dict[str, Any]]:
        return [message for message in self.got if message["event"] == event]

    @property
    def sent_s(self) -> float:
        """Sound that was sent, played or not."""
        return sum(len(sound_of(message)) for message in self.events("media")) / RATE_HZ

    async def _listen(self) -> None:
        async for raw in self._socket:
            assert isinstance(raw, str), "Twilio takes no binary messages"
            message = json.loads(raw)
            assert message["streamSid"] == self.sid
            self.got.append(message)
            if message["event"] == "media":
                assert set(message) == {"event", "streamSid", "media"}
                self._waiting.append(sound_of(message))
            elif message["event"] == "mark":
                self._waiting.append(message["mark"]["name"])
                await self._tell_marks()
            else:
                assert message == {"event": "clear", "streamSid": self.sid}
                self._waiting = deque(mark for mark in self._waiting if isinstance(mark, str))
                await self._tell_marks()

    async def _play(self) -> None:
        clock = asyncio.get_running_loop().time
        last_s, ready = clock(), 0.0
        while True:
            await asyncio.sleep(_TICK_S)
            now_s = clock()
            ready, last_s = ready + (now_s - last_s) * self._speed * RATE_HZ, now_s
            while self._waiting and ready >= 1:
                sound = self._waiting.popleft()
                assert isinstance(sound, bytes)
                heard, rest = sound[: int(ready)], sound[int(ready) :]
                self.played += heard
                ready -= len(heard)
                if rest:
                    self._waiting.appendleft(rest)
                await self._tell_marks()
            if not self._waiting:
                ready = 0.0

    async def _tell_marks(self) -> None:
        """Tell the marks before which nothing is left to play."""
        while self._waiting and isinstance(self._waiting[0], str):
            name = self._waiting.popleft()
            assert isinstance(name, str)
            self.marks.append(name)
            await self.say("mark", mark={"name": name})

    async def _talk(self) -> None:
        chunk = 0
        while True:
            chunk += 1
            payload = base64.b64encode(_SILENCE).decode()
            timestamp = str(round(1000 * chunk * _INBOUND_S))
            media = {"track": "inbound", "chunk": str(chunk), "timestamp": timestamp, "payload": payload}
            await self.say("media", media=media)
            await asyncio.sleep(_INBOUND_S)


def sound_of(message: dict[str, Any]) -> bytes:
    """Return the µ-law sound of a media message."""
    return base64.b64decode(message["media"]["payload"], validate=True)
