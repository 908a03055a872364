"""Who is served when: some at once, some more in a queue, and the rest is refused."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from services.contract.errors import AtCapacity, Cancelled, InvalidRequest, NotFound
from services.contract.newavata import Load

T = TypeVar("T")

_FIRST_GUESS_S = 5.0
_WEIGHT_OF_LAST = 0.3


class Turns:
    """Work that anybody who knows its `sid` may cancel."""

    def __init__(self, at_once: int, most_waiting: int) -> None:
        self._at_once = at_once
        self._most_waiting = most_waiting
        self._free = asyncio.Semaphore(at_once)
        self._tasks: dict[str, asyncio.Task[object]] = {}
        self._waiting: set[str] = set()
        self._usual_s = _FIRST_GUESS_S

    @property
    def load(self) -> Load:
        """How much there is to do."""
        processing = len(self._tasks) - len(self._waiting)
        return Load(processing_count=processing, queue_length=len(self._waiting), max_concurrent=self._at_once)

    @property
    def full(self) -> bool:
        """Whether somebody who comes now would be refused."""
        return len(self._tasks) >= self._at_once + self._most_waiting

    @property
    def wait_s(self) -> float:
        """How long somebody who comes now would wait, about."""
        return self._usual_s * max(0, len(self._tasks) + 1 - self._at_once) / self._at_once

    async def run(self, sid: str, work: Callable[[], Awaitable[T]]) -> T:
        """Do the work when its turn comes.

        Raises `AtCapacity` when too many wait, `InvalidRequest` when `sid` is in use, `Cancelled`, and
        what the work raises. When this is cancelled, the work is.
        """
        if self.full:
            raise AtCapacity(
                f"{len(self._waiting)} requests wait already; try again later.",
                retry_after_s=max(1, round(self.wait_s)),
            )
        if sid in self._tasks:
            raise InvalidRequest(f"sid: a request {sid!r} is under way already.", param="sid")
        self._waiting.add(sid)
        task = asyncio.create_task(self._turn(sid, work))
        self._tasks[sid] = task
        try:
            await asyncio.wait([task])
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
            self._waiting.discard(sid)
            del self._tasks[sid]
        if task.cancelled():
            raise Cancelled("The film was cancelled.")
        return task.result()

    def cancel(self, sid: str) -> bool:
        """Cancel the work, and return whether it was still waiting; raises `NotFound`."""
        if sid not in self._tasks:
            raise NotFound(f"There is no request {sid!r} under way.", param="sid")
        waited = sid in self._waiting
        self._tasks[sid].cancel()
        return waited

    async def _turn(self, sid: str, work: Callable[[], Awaitable[T]]) -> T:
        await self._free.acquire()
        self._waiting.discard(sid)
        began = time.monotonic()
        try:
            result = await work()
        finally:
            self._free.release()
        self._usual_s += _WEIGHT_OF_LAST * (time.monotonic() - began - self._usual_s)
        return result
