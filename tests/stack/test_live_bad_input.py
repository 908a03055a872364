"""Whatever comes over a live socket, or does not, it ends that connection at most, and no seat stays taken."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import cast

import pytest
from websockets.exceptions import ConnectionClosed

from services.chassis import server
from tests.gateways import gateway
from tests.live import TimedEngine
from tests.stack.live_socket import (
    CLOSE,
    FILM,
    FIRST,
    LONG,
    MULTI,
    PCM,
    RESPOND,
    SINGLE,
    SPEECH,
    VIDEO,
    answered,
    events,
    frame,
    frames_in,
    heard,
    nobody_sits,
    others_are_served,
    raw_socket,
    run,
    say,
    socket_to,
    write,
)

PROTOCOL_ERROR, NO_TEXT, TOO_BIG = 1002, 1007, 1009
"""Codes a connection is closed with (RFC 6455)."""

MALFORMED: dict[str, tuple[bytes, int]] = {
    "reserved opcode": (frame(b"?", 0x83), PROTOCOL_ERROR),
    "reserved bit": (frame(b"?", 0xC1), PROTOCOL_ERROR),
    "no mask": (frame(b'{"type": "ping"}', masked=False), PROTOCOL_ERROR),
    "half a letter": (frame(b'{"type": "input.text", "text": "\xe3\x81"}'), NO_TEXT),
    "no letter at all": (frame(b"\xff\xfe"), NO_TEXT),
    "goes on with nothing": (frame(b"?", 0x80), PROTOCOL_ERROR),
    "a message within a message": (frame(b'{"type"', 0x01) + frame(b'{"type": "ping"}'), PROTOCOL_ERROR),
    "a ping in two": (frame(b"?", 0x09), PROTOCOL_ERROR),
    "a ping that is too long": (frame(bytes(126), 0x89), PROTOCOL_ERROR),
    "half a code": (frame(b"\x03", CLOSE), PROTOCOL_ERROR),
    "longer than any memory": (b"\x81\xff" + b"\x7f" + b"\xff" * 7, TOO_BIG),
}


@pytest.mark.parametrize("wrong", MALFORMED)
def test_a_malformed_frame_ends_its_connection_with_a_code(stack: str, wrong: str) -> None:
    async def code_of(path: str) -> int:
        async with raw_socket(stack, path) as (reader, writer):
            writer.write(frame(json.dumps(FIRST[path]).encode()))
            writer.write(MALFORMED[wrong][0])
            first, payload = frames_in(await asyncio.wait_for(reader.read(), 10))[-1]
        assert first == CLOSE
        return int.from_bytes(payload[:2], "big")

    async def visit() -> None:
        codes = await asyncio.gather(*(code_of(path) for path in FIRST))
        assert codes == [MALFORMED[wrong][1]] * len(FIRST)
        await nobody_sits(stack)
        await others_are_served(stack)

    run(visit())


@pytest.mark.parametrize("politely", [True, False])
@pytest.mark.parametrize("sent", [1, 3, 7, -1])
def test_who_hangs_up_in_the_middle_of_a_frame_leaves_no_seat_taken(stack: str, sent: int, politely: bool) -> None:
    message = frame(json.dumps({"type": "input.text", "text": "Hello. " * 20}).encode())

    async def hang_up(path: str) -> None:
        async with raw_socket(stack, path) as (_, writer):
            writer.write(frame(json.dumps(FIRST[path]).encode()))
            writer.write(message[:sent])
            if not politely:
                writer.transport.abort()

    async def visit() -> None:
        await asyncio.gather(*(hang_up(path) for path in FIRST))
        await nobody_sits(stack)
        await others_are_served(stack)

    run(visit())


@pytest.mark.parametrize("path", FIRST)
def test_a_token_of_ten_megabytes_closes_the_connection_unread(stack: str, path: str) -> None:
    async def visit() -> None:
        async with socket_to(stack, path) as socket:
            await say(socket, **FIRST[path])
            with pytest.raises(ConnectionClosed):
                await write(socket, "x" * 10_000_000)
                while True:
                    await socket.recv()
        assert socket.close_code == TOO_BIG
        await nobody_sits(stack)

    run(visit())


@pytest.mark.parametrize(("path", "config"), [(SPEECH, PCM), (RESPOND, PCM), (VIDEO, FILM | {"idle": False})])
def test_messages_in_the_wrong_order_are_told_or_mean_nothing(stack: str, path: str, config: dict[str, object]) -> None:
    async def visit() -> None:
        async with socket_to(stack, path) as socket:
            await write(socket, "Before the configuration.")
            [error] = events(await heard(socket))
            assert "first message" in error["message"]
        async with socket_to(stack, path, **config) as socket:
            for kind in ("interrupt", "input.flush", "input.done"):
                await say(socket, type=kind)
            assert events(await heard(socket))[-1]["total_sentences"] == 0
            await write(socket, "An unfinished")
            await say(socket, **config)
            assert "input.done" in events(await heard(socket, "error"))[-1]["message"]
            await say(socket, type="respond", messages=[{"role": "user", "content": "Hi"}])
            assert events(await heard(socket, "error"))
            await say(socket, type="input.done")
            assert events(await heard(socket))[-1]["total_sentences"] == 1
            await say(socket, type="session.close")
            await write(socket, "After the farewell.")
            assert not events(await answered(socket), "error")

    run(visit())


@pytest.mark.parametrize(
    ("path", "messages"),
    [
        (SINGLE, [{"text": ""}]),
        (SINGLE, [{"flush": True}, {"text": ""}]),
        (SINGLE, [{"text": " "}, {"text": " ", "flush": True}, {"text": ""}, {"text": "After the end."}]),
        (MULTI, [{"close_socket": True}, {"text": "After the end."}]),
        (
            MULTI,
            [
                {"context_id": "one", "close_context": True},
                {"context_id": "one", "flush": True},
                {"close_socket": True},
            ],
        ),
    ],
)
def test_messages_of_elevenlabs_clients_in_the_wrong_order_mean_nothing(
    stack: str, path: str, messages: Sequence[dict[str, object]]
) -> None:
    async def visit() -> None:
        async with socket_to(stack, path) as socket:
            for message in messages:
                await say(socket, **message)
            told = [json.loads(raw) async for raw in socket]
        assert socket.close_code == 1000
        assert told == ([{"isFinal": True, "audio": None}] if path == SINGLE else [])

    run(visit())


UNREAD: dict[str, list[dict[str, object]]] = {
    SPEECH: [PCM | {"speed": 0.25}, {"type": "input.text", "text": LONG * 40}],
    VIDEO: [FILM | {"idle": False}, {"type": "input.text", "text": LONG * 40}],
    SINGLE: [{"text": LONG * 40}],
    MULTI: [{"text": LONG * 40}],
}


@asynccontextmanager
async def unread(url: str, path: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.Transport]]:
    """Give a connection on which much was asked for, and nothing is read until its transport resumes."""
    async with raw_socket(url, path, small=True) as (reader, writer):
        transport = cast(asyncio.Transport, writer.transport)
        transport.pause_reading()
        for message in UNREAD[path]:
            writer.write(frame(json.dumps(message).encode()))
        yield reader, transport


@pytest.mark.parametrize("path", UNREAD)
def test_a_client_that_never_reads_is_given_up_and_leaves_nothing_behind(strict: str, path: str) -> None:
    async def visit() -> None:
        async with unread(strict, path) as (reader, transport):
            await asyncio.sleep(0.5)
            await nobody_sits(strict)
            transport.resume_reading()
            received = await asyncio.wait_for(reader.read(), 20)
            assert 10_000 < len(received) < 10_000_000
        await others_are_served(strict)

    run(visit())


def test_what_a_client_that_never_reads_has_not_taken_in_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_TAKES_NOTHING_S", 0.5)

    async def visit() -> None:
        engine = TimedEngine({}, streams=True, sound_s=20.0)
        async with AsyncExitStack() as client:
            async with gateway(engine, live_stalled_s=0.5, drain_s=30) as (url, _):
                await client.enter_async_context(unread(url, SPEECH))
                await asyncio.sleep(0.5)
                await nobody_sits(url)
                await asyncio.sleep(1.5)
                ended_s = time.monotonic()
            assert time.monotonic() - ended_s < 10, "what ends waits for nobody who takes nothing in"

    run(visit())
