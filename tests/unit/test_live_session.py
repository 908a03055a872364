"""A session by itself, with a client in place of its WebSocket."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from typing import Any, cast

from fastapi import WebSocket

from services.contract.speech import Manner
from services.gateway.clients import TtsClient
from services.gateway.live.audio import AudioPerformer
from services.gateway.live.messages import SpeechConfig
from services.gateway.live.session import LiveSession
from services.gateway.live.socket import LiveSocket
from tests.live import InstantTts
from tests.memory import Held, held

UTTERANCES, SENTENCES = 40, 30


class Talker:
    """Has one text after the other spoken, and breaks off every fifth; `over` is told after each."""

    def __init__(self, over: Callable[[int], None]) -> None:
        self.heard: Counter[str] = Counter()
        self.heard_bytes = 0
        self._over = over
        self._news = asyncio.Event()
        self._messages = self._says()

    async def receive(self) -> dict[str, Any]:
        return {"type": "websocket.receive", "text": json.dumps(await anext(self._messages))}

    async def send_text(self, text: str) -> None:
        self.heard[json.loads(text)["type"]] += 1
        self._news.set()

    async def send_bytes(self, data: bytes) -> None:
        self.heard_bytes += len(data)

    async def close(self, code: int, reason: str) -> None:
        self.heard["close"] += 1

    async def _says(self) -> AsyncGenerator[dict[str, object], None]:
        yield {"type": "session.config", "response_format": "pcm", "stream_audio": True, "language": "English"}
        for number in range(UTTERANCES):
            for sentence in range(SENTENCES):
                yield {"type": "input.text", "text": f"This is sentence {sentence} of utterance {number}. "}
            says, hears = ("interrupt", "interrupted") if number % 5 == 4 else ("input.done", "session.done")
            before = self.heard[hears]
            yield {"type": says}
            while self.heard[hears] == before:
                self._news.clear()
                await self._news.wait()
            self._over(number + 1)
        yield {"type": "session.close"}
        await asyncio.Event().wait()


def test_memory_does_not_grow_with_the_sentences_of_a_session() -> None:
    async def visit() -> None:
        after: dict[int, Held] = {}

        def over(utterances: int) -> None:
            if utterances in (UTTERANCES // 4, UTTERANCES):
                after[utterances] = held()

        talker = Talker(over)
        socket = LiveSocket(cast(WebSocket, talker), stalled_s=5)
        performer = AudioPerformer(socket, cast(TtsClient, InstantTts()), at_once=4)

        async def configure(config: SpeechConfig) -> None:
            performer.configure(config, Manner())

        await LiveSession(socket, performer, SpeechConfig, configure, silence_s=60).run()
        interrupted = UTTERANCES // 5
        assert talker.heard["interrupted"] == interrupted
        assert talker.heard["session.done"] == UTTERANCES - interrupted
        assert talker.heard["audio.done"] >= SENTENCES * (UTTERANCES - interrupted)
        assert talker.heard_bytes > 2_400 * talker.heard["audio.done"]
        assert talker.heard["close"] == 1
        assert after[UTTERANCES // 4].is_no_less_than(after[UTTERANCES]), after

    asyncio.run(visit())


class SlowWire:
    """In place of a WebSocket: takes a message only when it is told to."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.takes = asyncio.Event()

    async def send_text(self, text: str) -> None:
        await self.takes.wait()
        self.sent.append(json.loads(text))

    async def send_bytes(self, data: bytes) -> None:
        await self.takes.wait()
        self.sent.append(data)


def test_what_waits_to_be_sent_when_somebody_interrupts_is_never_sent() -> None:
    async def visit() -> None:
        wire = SlowWire()
        socket = LiveSocket(cast(WebSocket, wire), stalled_s=5)
        counted: list[str] = []
        one, two = ({"type": "one"}, b"of the first"), ({"type": "two"}, b"of the second")
        begun = asyncio.create_task(socket.send(*one, generation=0, begun=lambda: counted.append("one")))
        await asyncio.sleep(0)
        waiting = asyncio.create_task(socket.send(*two, generation=0, begun=lambda: counted.append("two")))
        await asyncio.sleep(0)
        socket.generation = 1
        answer = asyncio.create_task(socket.send({"type": "interrupted"}))
        following = asyncio.create_task(socket.send(b"of the third", generation=1))
        await asyncio.sleep(0)
        wire.takes.set()
        await asyncio.gather(begun, waiting, answer, following)
        assert wire.sent == [{"type": "one"}, b"of the first", {"type": "interrupted"}, b"of the third"]
        assert counted == ["one"]

    asyncio.run(visit())
