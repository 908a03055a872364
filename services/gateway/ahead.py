"""Work done a little ahead of its reader, and stopped when the reader leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, TypeVar

T = TypeVar("T")
_END: Any = object()


async def ahead(source: AsyncGenerator[T, None], most_ahead: int) -> AsyncGenerator[T, None]:
    """Yield what `source` yields, made up to `most_ahead` items before its reader wants them.

    The source runs in a task of its own. What it raises is raised here, in its place; when the
    reader leaves, the source is cancelled and closed.
    """
    queue: asyncio.Queue[T] = asyncio.Queue(most_ahead)

    async def fill() -> None:
        async for item in source:
            await queue.put(item)

    task = asyncio.create_task(fill())
    try:
        while (item := await _next(queue, task)) is not _END:
            yield item
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await source.aclose()


async def _next(queue: asyncio.Queue[T], filling: asyncio.Task[None]) -> T:
    """Return the next item, or _END when all is taken. Raises what `filling` raised."""
    if queue.empty() and not filling.done():
        get = asyncio.create_task(queue.get())
        try:
            await asyncio.wait([get, filling], return_when=asyncio.FIRST_COMPLETED)
            if get.done():
                return get.result()
        finally:
            get.cancel()
    if not queue.empty():
        return queue.get_nowait()
    filling.result()
    end: T = _END
    return end
