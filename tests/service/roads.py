"""Ways to a server that speech is pushed to: slow ones, and long ones that are cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from services.chassis.ending import end_tasks

_PIECE_BYTES = 2_048
_HEAD_END = b"\r\n\r\n"
_HEARD_AFTER_S = 0.02
"""What was brought back before a cut is heard."""

End = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def slow_road(url: str, bytes_per_s: int) -> AsyncIterator[str]:
    """Give the URL of a relay to `url` that carries so much."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, per_s: float) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(_PIECE_BYTES):
                writer.write(data)
                await writer.drain()
                await asyncio.sleep(len(data) / per_s)
            writer.close()

    async def carry(near: End, far: End) -> None:
        await asyncio.gather(pump(near[0], far[1], bytes_per_s), pump(far[0], near[1], 1e9))

    async with _road(url, carry) as road:
        yield road


@asynccontextmanager
async def long_road(url: str, way_s: float, cuts_bytes: Sequence[int]) -> AsyncIterator[str]:
    """Give the URL of a relay to `url` on which all takes `way_s`, there as well as back.

    Its first connections are cut, the first once as many bytes have come back after the handshake as `cuts_bytes`
    says first. What is under way then is lost, both ways.
    """
    cuts = iter(cuts_bytes)

    async def pump(reader: asyncio.StreamReader, deliver: Callable[[bytes], None]) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(_PIECE_BYTES):
                asyncio.get_running_loop().call_later(way_s, deliver, data)
            await asyncio.sleep(way_s)

    async def carry(near: End, far: End) -> None:
        left, cut = next(cuts, float("inf")), asyncio.Event()
        far[1].write(await near[0].readuntil(_HEAD_END))
        near[1].write(await far[0].readuntil(_HEAD_END))

        def bring_back(data: bytes) -> None:
            nonlocal left
            near[1].write(data)
            left -= len(data)
            if left <= 0:
                cut.set()

        tasks = [
            asyncio.create_task(pump(near[0], far[1].write)),
            asyncio.create_task(pump(far[0], bring_back)),
            asyncio.create_task(cut.wait()),
        ]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        await end_tasks(*tasks)
        await asyncio.sleep(_HEARD_AFTER_S)
        for _, writer in (near, far):
            writer.transport.abort()

    async with _road(url, carry) as road:
        yield road


@asynccontextmanager
async def _road(url: str, carry: Callable[[End, End], Awaitable[None]]) -> AsyncIterator[str]:
    host, port = url.removeprefix("ws://").removesuffix("/push").split(":")

    async def arrived(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await carry((reader, writer), await asyncio.open_connection(host, int(port)))

    road = await asyncio.start_server(arrived, "127.0.0.1", 0)
    async with road:
        yield f"ws://127.0.0.1:{road.sockets[0].getsockname()[1]}/push"
