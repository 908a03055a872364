"""Clients of the live sockets, well-behaved and otherwise, and what they heard."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Origin

SPEECH, VIDEO, RESPOND = "/v1/audio/speech/stream", "/v1/video/stream", "/v1/respond"
SINGLE = "/v1/text-to-speech/female/stream-input?output_format=pcm_24000"
MULTI = SINGLE.replace("/stream", "/multi-stream")
PCM = {"type": "session.config", "response_format": "pcm", "stream_audio": True, "language": "English"}
FILM = {"type": "session.config", "size": "128x128", "language": "English"}
FIRST: dict[str, dict[str, object]] = {
    SPEECH: PCM,
    VIDEO: FILM,
    RESPOND: PCM,
    SINGLE: {"text": " "},
    MULTI: {"text": " "},
}
"""What is said first on each socket."""

LONG = "This is a rather long sentence that takes its time to be said aloud. " * 6
RATE_HZ = 24_000

TEXT, CLOSE = 0x81, 0x88
"""First bytes of frames that are whole messages (RFC 6455)."""

_SMALL_SEGMENT_BYTES = 536
_SMALL_WINDOW_BYTES = 4_096

Message = dict[str, Any] | bytes
"""An event, or what it announced."""


@asynccontextmanager
async def socket_to(url: str, path: str, origin: str = "", **config: object) -> AsyncIterator[ClientConnection]:
    """Give a connection as of a page from `origin`, configured if anything is said of how."""
    page = Origin(origin) if origin else None
    address = url.replace("http", "ws", 1) + path
    # Where a thousand connect at once, a slow machine needs longer than the ten seconds of the library.
    async with connect(address, max_size=None, origin=page, open_timeout=60) as socket:
        if config:
            await say(socket, **config)
        yield socket


async def say(socket: ClientConnection, **message: object) -> None:
    await socket.send(json.dumps(message))


async def write(socket: ClientConnection, *tokens: str) -> None:
    for token in tokens:
        await say(socket, type="input.text", text=token)


async def answered(socket: ClientConnection) -> list[Message]:
    """Return what came until the server has done all it was told so far."""
    await say(socket, type="ping")
    return await heard(socket, "pong")


async def heard(socket: ClientConnection, until: str = "session.done", within_s: float = 30.0) -> list[Message]:
    """Return all messages until an event of that type, or the end of the connection."""
    messages: list[Message] = []

    async def listen() -> None:
        async for raw in socket:
            messages.append(raw if isinstance(raw, bytes) else json.loads(raw))
            if isinstance(messages[-1], dict) and messages[-1]["type"] == until:
                return

    await asyncio.wait_for(listen(), within_s)
    return messages


def events(messages: list[Message], kind: str = "") -> list[dict[str, Any]]:
    return [message for message in messages if isinstance(message, dict) and message["type"].startswith(kind)]


def sound(messages: list[Message]) -> bytes:
    return b"".join(message for message in messages if isinstance(message, bytes))


def loudness(pcm: bytes) -> float:
    return float(np.sqrt(np.mean(np.square(np.frombuffer(pcm, "<i2").astype(float) / 32768))))


def frame(payload: bytes, first: int = TEXT, *, masked: bool = True) -> bytes:
    """Return a frame as a client puts it on the wire, with a mask of zeros. `first` is its first byte."""
    mask, size = 0x80 * masked, len(payload)
    if size < 126:
        head = struct.pack(">BB", first, mask | size)
    elif size < 2**16:
        head = struct.pack(">BBH", first, mask | 126, size)
    else:
        head = struct.pack(">BBQ", first, mask | 127, size)
    return head + bytes(4 * masked) + payload


def frames_in(data: bytes) -> list[tuple[int, bytes]]:
    """Return the frames that a server put on the wire: the first byte of each, and its payload."""
    frames, at = [], 0
    while at < len(data):
        first, size = data[at], data[at + 1]
        at += 2
        if size > 125:
            width = 2 if size == 126 else 8
            size, at = int.from_bytes(data[at : at + width], "big"), at + width
        frames.append((first, data[at : at + size]))
        at += size
    return frames


@asynccontextmanager
async def raw_socket(
    url: str, path: str, *, small: bool = False
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Give a connection that was accepted as a WebSocket; what is put on the wire after that is up to the caller.

    A `small` one takes in little that its client does not read, and has the server's side hold little, too.
    """
    parts = urlsplit(url)
    wire = socket.socket()
    if small:
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, _SMALL_SEGMENT_BYTES)
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_WINDOW_BYTES)
    wire.setblocking(False)
    await asyncio.get_running_loop().sock_connect(wire, (str(parts.hostname), int(parts.port or 80)))
    reader, writer = await asyncio.open_connection(sock=wire, limit=2**26)
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    try:
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        yield reader, writer
    finally:
        writer.close()


async def nobody_sits(url: str) -> None:
    """Return once no live session is open any more."""
    async with httpx.AsyncClient(base_url=url) as client:
        for _ in range(200):
            if "talkie_live_sessions 0.0" in (await client.get("/metrics")).text:
                return
            await asyncio.sleep(0.05)
    raise AssertionError("a seat stayed taken")


async def others_are_served(url: str) -> None:
    """Return once somebody else was spoken to."""
    async with socket_to(url, SPEECH, **PCM) as socket:
        await write(socket, "Others are served.")
        await say(socket, type="input.done")
        assert events(await heard(socket))[-1]["total_sentences"] == 1


def run(visit: Coroutine[Any, Any, None]) -> None:
    asyncio.run(visit)
