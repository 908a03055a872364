"""What one call is sent, when Twilio reads slowly and is interrupted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from typing import Any, cast

import pytest
from fastapi import WebSocket

from services.gateway.live.socket import LiveSocket
from services.gateway.live.twilio.call import GREETING, Call, CallOver, Place
from services.gateway.live.twilio.messages import MediaFormat, Start

FORMAT = MediaFormat.model_validate({"encoding": "audio/x-mulaw", "sampleRate": 8_000, "channels": 1})
START = Start(streamSid="MZ1", mediaFormat=FORMAT)  # type: ignore[call-arg]
SOUND = b"\xff" * 800


class SlowTwilio:
    """Reads nothing until it is told to."""

    def __init__(self) -> None:
        self.reads = asyncio.Event()
        self.got: list[dict[str, Any]] = []

    async def send_text(self, text: str) -> None:
        await self.reads.wait()
        self.got.append(json.loads(text))

    @property
    def events(self) -> list[str]:
        return [message["event"] for message in self.got]


def call_to(twilio: SlowTwilio) -> Call:
    return Call(LiveSocket(cast(WebSocket, twilio), stalled_s=5.0), START)


def run(work: Awaitable[None]) -> None:
    asyncio.run(asyncio.wait_for(work, 5))  # type: ignore[arg-type]


def test_nothing_that_was_interrupted_goes_out_after_clear_and_nothing_new_before() -> None:
    async def visit() -> None:
        twilio = SlowTwilio()
        call = call_to(twilio)
        old = [asyncio.create_task(call.play(SOUND, 0)) for _ in range(3)]
        await asyncio.sleep(0.01)
        asyncio.get_running_loop().call_later(0.01, twilio.reads.set)
        call.interrupt()
        await call.mark(Place(1, 0), 1)
        await asyncio.gather(*old)
        assert twilio.events == ["media", "clear", "mark"]

    run(visit())


def test_marks_that_are_told_because_of_a_clear_were_not_heard() -> None:
    async def visit() -> None:
        twilio = SlowTwilio()
        twilio.reads.set()
        call = call_to(twilio)
        with call.followed() as events:
            for sentence in range(3):
                await call.mark(Place(0, sentence), 0)
            names = [message["mark"]["name"] for message in twilio.got]
            call.heard(names[0])
            call.interrupt()
            for name in names[1:]:
                call.heard(name)
            assert call.played == Place(0, 0)
            await call.end()
            assert await events.next() == {"type": "playback", "utterance_index": 0, "sentence_index": 0}
            assert await events.next() is None

    run(visit())


def test_an_interruption_stops_the_greeting_and_so_does_the_end() -> None:
    async def visit() -> None:
        for stop in (lambda call: call.interrupt(), lambda call: call.end()):
            call = call_to(SlowTwilio())
            call.greeting = asyncio.create_task(asyncio.sleep(60))
            await asyncio.sleep(0)
            if (ending := stop(call)) is not None:
                await ending
            await asyncio.wait([call.greeting], timeout=1)
            assert call.greeting.cancelled()

    run(visit())


def test_the_end_of_a_call_stops_whoever_speaks_in_it() -> None:
    async def speak(call: Call) -> None:
        with call.speaking():
            await asyncio.sleep(60)

    async def visit() -> None:
        call = call_to(SlowTwilio())
        speaking = asyncio.create_task(speak(call))
        await asyncio.sleep(0)
        await call.end()
        assert speaking.cancelled()
        with pytest.raises(CallOver):
            await call.play(SOUND, 0)

    run(visit())


def test_what_an_application_began_is_not_told_to_the_next_one_but_the_greeting_is() -> None:
    async def visit() -> None:
        twilio = SlowTwilio()
        twilio.reads.set()
        call = call_to(twilio)
        with call.followed():
            await call.mark(Place(GREETING, 0), 0)
            await call.mark(Place(0, 0), 0)
        with call.followed() as events:
            for message in twilio.got:
                call.heard(message["mark"]["name"])
            await call.end()
            assert await events.next() == {"type": "playback", "utterance_index": GREETING, "sentence_index": 0}
            assert await events.next() is None

    run(visit())
