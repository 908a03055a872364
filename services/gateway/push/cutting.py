"""Cuts sound into chunks while it is being spoken."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable

_LONGEST_WAIT_S = 0.25
"""Sound that is there waits no longer for a chunk to become full; the first does not wait at all."""


async def cut(sound: AsyncGenerator[bytes, None], size: Callable[[], int]) -> AsyncGenerator[bytes, None]:
    """Yield `sound` in chunks of `size()` bytes, smaller ones where it is slow to come; raises what it raises."""
    held, wait_s, due_at = bytearray(), 0.0, 0.0
    coming = asyncio.create_task(_next(sound))
    try:
        while True:
            await asyncio.wait([coming], timeout=max(0.0, due_at - time.monotonic()) if held else None)
            if coming.done():
                if (data := coming.result()) is None:
                    break
                due_at = due_at if held else time.monotonic() + wait_s
                held += data
                coming = asyncio.create_task(_next(sound))
            while held and (len(held) >= size() or time.monotonic() >= due_at):
                yield _taken(held, size())
                wait_s = _LONGEST_WAIT_S
                due_at = time.monotonic() + wait_s
        while held:
            yield _taken(held, size())
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)
        await sound.aclose()


async def _next(sound: AsyncGenerator[bytes, None]) -> bytes | None:
    return await anext(sound, None)


def _taken(held: bytearray, most: int) -> bytes:
    """Take up to `most` bytes from the front."""
    taken = bytes(held[:most])
    del held[:most]
    return taken
