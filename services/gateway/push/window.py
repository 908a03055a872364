"""The chunks that are not acknowledged yet: all that is kept of a transfer."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

MOST_CHUNKS = 8
"""Held of one transfer; the speech waits while there are as many."""

_MOST_UNSENT = 2
"""Cut ahead, and no more: by then another size may suit the connection."""


@dataclass(frozen=True)
class Chunk:
    """Some of the sound, and who speaks it."""

    index: int
    audio: bytes
    engine: str
    language: str


class Window:
    """Takes chunks in at one end, and drops them as they are acknowledged."""

    def __init__(self) -> None:
        self._chunks: dict[int, Chunk] = {}
        self._news = asyncio.Event()
        self._error: BaseException | None = None
        self.cut = 0
        """Number of chunks so far."""
        self.total: int | None = None
        """Number of chunks, once all are cut."""
        self.sent = 0
        """How many of them were sent, at least once."""
        self.delivered = 0
        """How many of them were acknowledged."""
        self.delivered_bytes = 0
        self.waiting_since: float | None = None
        """Monotonic seconds: since when the server owes the next acknowledgement; None while it owes none."""

    async def put(self, audio: bytes, engine: str, language: str) -> None:
        """Add the next chunk, when there is room for it."""
        while len(self._chunks) >= MOST_CHUNKS or self.cut - self.sent >= _MOST_UNSENT:
            await self._news.wait()
        self._chunks[self.cut] = Chunk(self.cut, audio, engine, language)
        self.cut += 1
        self._tell()

    def end(self, error: BaseException | None = None) -> None:
        """Say that there are no more chunks; an `error` is raised to who waits for some."""
        self._error = error
        self.total = self.cut
        self._tell()

    async def after(self, index: int) -> Chunk | None:
        """Return the first chunk after `index` that is not acknowledged, when there is one; None after the last."""
        while True:
            if self._error is not None:
                raise self._error
            if (chunk := next((one for one in self._chunks.values() if one.index > index), None)) is not None:
                return chunk
            if self.total is not None:
                return None
            await self._news.wait()

    async def empty(self) -> None:
        """Return once all chunks so far are acknowledged."""
        while self._chunks:
            await self._news.wait()

    async def without(self, index: int) -> None:
        """Return once a chunk is acknowledged."""
        while index in self._chunks:
            await self._news.wait()

    def reconnected(self) -> None:
        """Say that over this connection nothing was sent yet."""
        self.waiting_since = None

    def send(self, index: int) -> bool:
        """Say that a chunk is on its way, and return whether it is for the first time."""
        if self.waiting_since is None:
            self.waiting_since = time.monotonic()
        first = index >= self.sent
        self.sent = max(self.sent, index + 1)
        self._tell()
        return first

    def acknowledge(self, index: int) -> bool:
        """Drop a chunk, and return whether it was waited for; nobody has what was never sent."""
        if index >= self.sent or (chunk := self._chunks.pop(index, None)) is None:
            return False
        self.delivered += 1
        self.delivered_bytes += len(chunk.audio)
        owed = any(one < self.sent for one in self._chunks)
        self.waiting_since = time.monotonic() if owed else None
        self._tell()
        return True

    def acknowledge_until(self, index: int) -> bool:
        """Drop all chunks up to `index`, and return whether any of them was waited for."""
        return sum(self.acknowledge(one) for one in list(self._chunks) if one <= index) > 0

    def _tell(self) -> None:
        told, self._news = self._news, asyncio.Event()
        told.set()
