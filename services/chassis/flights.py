"""Single flight: what several ask for at the same time is made once, and each gets all of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Generic, TypeVar

from services.chassis.ending import end_tasks

T = TypeVar("T")


class Flight(Generic[T]):
    """Something that is being made for several, piece by piece.

    It is made as fast as its source goes and held until all have it: listeners may be slow, come and go.
    When the last one has left, the source is closed.
    """

    def __init__(self, source: AsyncGenerator[T, None], landed: Callable[[], None]) -> None:
        self._source = source
        self._pieces: list[T] = []
        self._news = asyncio.Event()
        self._listeners = 0
        self._landed = landed
        self._flying = asyncio.create_task(self._fly())
        self._flying.add_done_callback(lambda _: self._tell())
        self._ending: asyncio.Task[None] | None = None

    def listen(self) -> AsyncGenerator[T, None]:
        """Return all pieces from the first one on; raises what the source raises."""
        self._listeners += 1
        return self._listen()

    async def _listen(self) -> AsyncGenerator[T, None]:
        heard = 0
        try:
            while True:
                news = self._news
                while heard < len(self._pieces):
                    heard += 1
                    yield self._pieces[heard - 1]
                if self._flying.done():
                    self._flying.result()
                    return
                await news.wait()
        finally:
            self._listeners -= 1
            if not self._listeners:
                self._landed()  # nobody joins what is being called off
                # The listener's task may be cancelled again at every await, so this has its own.
                self._ending = asyncio.create_task(end_tasks(self._flying))
                await asyncio.shield(self._ending)

    async def _fly(self) -> None:
        try:
            async for piece in self._source:
                self._pieces.append(piece)
                self._tell()
        finally:
            self._landed()
            await self._source.aclose()

    def _tell(self) -> None:
        told, self._news = self._news, asyncio.Event()
        told.set()


class Flights(Generic[T]):
    """What is being made right now, by key."""

    def __init__(self) -> None:
        self._flights: dict[str, Flight[T]] = {}

    def join(self, key: str) -> AsyncGenerator[T, None] | None:
        """Return what is being made under `key`, from its first piece on; None when nothing is."""
        flight = self._flights.get(key)
        return None if flight is None else flight.listen()

    def start(self, key: str, source: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
        """Return what `source` yields, and let others join. The source is closed when all have left."""
        flight = self._flights[key] = Flight(source, lambda: self._land(key, flight))
        return flight.listen()

    def _land(self, key: str, flight: Flight[T]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
