"""A road to a service on which everything stops, as where its process hangs: connections are made, nothing comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Road:
    """Carries all that is sent, and so many bytes of what is answered."""

    def __init__(self, far: str, carries_bytes: int) -> None:
        self.url = ""
        self.carried = asyncio.Event()
        """Set when nothing more is carried."""
        self._host, _, self._port = far.removeprefix("http://").partition(":")
        self._left_bytes = carries_bytes
        self._passengers: set[asyncio.Task[None]] = set()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._host, int(self._port))
        for pump in (self._there(reader, far_writer), self._back(far_reader, writer)):
            self._passengers.add(asyncio.create_task(pump))

    async def close(self) -> None:
        for passenger in self._passengers:
            passenger.cancel()
        await asyncio.gather(*self._passengers, return_exceptions=True)

    async def _there(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65_536):
                writer.write(data[: self._left_bytes])
                self._left_bytes -= min(len(data), self._left_bytes)
                if not self._left_bytes:
                    self.carried.set()
        if self._left_bytes:
            writer.close()


@asynccontextmanager
async def road(far: str, carries_bytes: int) -> AsyncIterator[Road]:
    """Give a road to the service at `far`."""
    built = Road(far, carries_bytes)
    server = await asyncio.start_server(built.carry, "127.0.0.1", 0)
    built.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield built
    finally:
        server.close()
        await built.close()
