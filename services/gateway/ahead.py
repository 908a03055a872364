"""Work done a little ahead of its reader, and stopped when the reader leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Generic, TypeVar

from services.chassis.ending import end_tasks

T = TypeVar("T")


class Ahead(Generic[T]):
    """What `source` yields, made up to `most_ahead` items before its reader wants them.

    The source runs in a task of its own, from the start. What it raises is raised to the reader, in
    its place. Whoever makes one closes it; that cancels and closes the source.
    """

    def __init__(self, source: AsyncGenerator[T, None], most_ahead: int) -> None:
        self._source = source
        self._queue: asyncio.Queue[T] = asyncio.Queue(most_ahead)
        self._filling = asyncio.create_task(self._fill())
        self._closing: asyncio.Task[None] | None = None
        self._dropped = False

    def __aiter__(self) -> Ahead[T]:
        return self

    async def __anext__(self) -> T:
        if self._queue.empty() and not self._filling.done():
            get = asyncio.create_task(self._queue.get())
            try:
                await asyncio.wait([get, self._filling], return_when=asyncio.FIRST_COMPLETED)
                if get.done() and not self._dropped:
                    return get.result()
            finally:
                get.cancel()
        if self._dropped:
            raise StopAsyncIteration
        if not self._queue.empty():
            return self._queue.get_nowait()
        self._filling.result()
        raise StopAsyncIteration

    def drop(self) -> None:
        """Stop the source, and give no more of what it made: for the reader, this is the end."""
        self._dropped = True
        self._stop()

    async def aclose(self) -> None:
        """Stop the source."""
        await asyncio.shield(self._stop())

    def _stop(self) -> asyncio.Task[None]:
        # The reader's task may be cancelled again at every await, so closing has its own.
        self._closing = self._closing or asyncio.create_task(self._close())
        return self._closing

    async def _close(self) -> None:
        await end_tasks(self._filling)
        await self._source.aclose()

    async def _fill(self) -> None:
        async for item in self._source:
            await self._queue.put(item)


async def side_by_side(
    sources: AsyncGenerator[AsyncGenerator[T, None], None],
    at_once: int,
    most_ahead: int,
    begun: Callable[[Ahead[T]], None] | None = None,
) -> AsyncGenerator[T, None]:
    """Yield what each of `sources` yields, one source after the other.

    Up to `at_once` of them run at once, each up to `most_ahead` items before its turn. `begun` is given each one as
    it begins, before the next is asked for: whoever drops it has it passed over.
    """
    running: set[Ahead[T]] = set()
    free = asyncio.Semaphore(at_once)

    async def started() -> AsyncGenerator[Ahead[T], None]:
        async for source in sources:
            await free.acquire()
            one = Ahead(source, most_ahead)
            running.add(one)
            if begun is not None:
                begun(one)
            yield one

    try:
        async with aclosing(Ahead(started(), at_once)) as line:
            async for one in line:
                async for item in one:
                    yield item
                await one.aclose()
                running.discard(one)
                free.release()
    finally:
        await asyncio.gather(*(one.aclose() for one in running))
        await sources.aclose()


async def all_of(works: Sequence[Callable[[], Awaitable[T]]], at_once: int) -> list[T]:
    """Return what each of `works` comes to, up to `at_once` at a time; the first that fails stops the others."""
    free = asyncio.Semaphore(at_once)

    async def one(work: Callable[[], Awaitable[T]]) -> T:
        async with free:
            return await work()

    tasks = [asyncio.create_task(one(work)) for work in works]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
