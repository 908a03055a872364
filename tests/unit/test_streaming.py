"""A stream's source is closed whatever becomes of its answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.types import Message

from services.chassis.streaming import begin_stream

SCOPE = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}


class Source:
    """Counts how many of its streams are open."""

    def __init__(self) -> None:
        self.open = 0
        self.first = asyncio.Event()

    async def stream(self) -> AsyncIterator[bytes]:
        self.open += 1
        try:
            await self.first.wait()
            while True:
                yield b"piece"
                await asyncio.sleep(0)
        finally:
            self.open -= 1


async def connected() -> Message:
    await asyncio.Event().wait()
    raise AssertionError("never reached")


async def disconnected() -> Message:
    return {"type": "http.disconnect"}


async def stuck(message: Message) -> None:
    await asyncio.Event().wait()


def test_a_client_that_leaves_before_the_body_begins_closes_the_source() -> None:
    async def run() -> int:
        source = Source()
        source.first.set()
        stream = source.stream()
        answer = await begin_stream(Request(SCOPE, connected), stream, "text/plain")
        assert source.open == 1
        await answer(SCOPE, disconnected, stuck)
        assert stream is not None  # held, so that it is not the garbage collector that closes it
        return source.open

    assert asyncio.run(run()) == 0


def test_a_client_that_reads_nothing_is_given_up() -> None:
    async def run() -> int:
        source = Source()
        source.first.set()
        stream = source.stream()
        answer = await begin_stream(Request(SCOPE, connected), stream, "text/plain", stalled_s=0.05)
        with pytest.raises(ClientDisconnect):
            await answer(SCOPE, connected, stuck)
        assert stream is not None
        return source.open

    assert asyncio.run(run()) == 0


def test_a_client_that_leaves_before_the_first_piece_closes_the_source() -> None:
    async def run() -> int:
        source = Source()
        stream = source.stream()
        with pytest.raises(ClientDisconnect):
            await begin_stream(Request(SCOPE, disconnected), stream, "text/plain")
        assert stream is not None
        return source.open

    assert asyncio.run(run()) == 0
