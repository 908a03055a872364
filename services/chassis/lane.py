"""The engine lane: blocking generators behind an async face, one at a time per slot.

An engine is a plain generator. The lane moves each of its steps to a thread, so that the event
loop stays free; when the reader leaves, the generator is closed at its next yield and the slot is
free again. A reader slower than the engine holds the engine back.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from services.contract.errors import AtCapacity

T = TypeVar("T")
_END: Any = object()
_WEIGHT_OF_LAST = 0.2

_PUT_OFF_S = 0.2
"""For how long a step gives way at most: whoever holds the other lane may be stuck."""


class EngineLane:
    """Runs at most `slots` generators at once, lets `max_waiting` more wait, refuses the rest.

    While another lane that it `yields_to` is busy, its generators work at a slow pace.
    """

    def __init__(
        self, name: str, *, slots: int = 1, max_waiting: int = 16, yields_to: EngineLane | None = None
    ) -> None:
        self._name = name
        self._yields_to = yields_to
        self._idle = asyncio.Event()
        self._slots = slots
        self._usual_s = 1.0
        self._free = asyncio.Semaphore(slots)
        self._threads = ThreadPoolExecutor(slots, thread_name_prefix=name)
        self._max_waiting = max_waiting
        self._waiting = 0
        self._busy = 0
        self._retiring: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> int:
        """Number of generators that hold a slot."""
        return self._busy

    @property
    def waiting(self) -> int:
        """Number of readers that wait for a slot."""
        return self._waiting

    @property
    def wait_s(self) -> float:
        """How long somebody who comes now would wait for a slot, about."""
        return self._usual_s * (self._waiting + 1) / self._slots

    async def stream(self, start: Callable[[], Generator[T, None, None]]) -> AsyncGenerator[T, None]:
        """Yield what the generator made by `start` yields.

        Raises `AtCapacity` before any work is done when the waiting room is full.
        """
        await self._enter()
        began = time.monotonic()
        loop = asyncio.get_running_loop()
        context = contextvars.copy_context()
        items: Generator[T, None, None] | None = None
        step: asyncio.Future[T] | None = None
        try:
            items = start()
            while True:
                await self._give_way()
                step = loop.run_in_executor(self._threads, partial(context.run, next, items, _END))
                item = await asyncio.shield(step)
                if item is _END:
                    return
                yield item
        finally:
            # The reader's task may be cancelled again at every await, so the clean-up has its own.
            task = loop.create_task(self._retire(step, items, began))
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

    async def aclose(self) -> None:
        """Wait for generators that are being closed, and end the threads."""
        if self._retiring:
            await asyncio.wait(self._retiring)
        self._threads.shutdown()

    async def _enter(self) -> None:
        if self._free.locked() and self._waiting >= self._max_waiting:
            raise AtCapacity(
                f"All {self._name} lanes are busy and {self._waiting} requests wait already; try again shortly.",
                retry_after_s=max(1, round(self.wait_s)),
            )
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        self._busy += 1
        self._idle.clear()

    async def _give_way(self) -> None:
        if self._yields_to is None or not self._yields_to.busy:
            return
        waiting = asyncio.create_task(self._yields_to._idle.wait())
        try:
            await asyncio.wait([waiting], timeout=_PUT_OFF_S)
        finally:
            waiting.cancel()

    async def _retire(
        self, step: asyncio.Future[T] | None, items: Generator[T, None, None] | None, began: float
    ) -> None:
        try:
            if step is not None:
                await asyncio.wait([step])
            if items is not None:
                await asyncio.get_running_loop().run_in_executor(self._threads, items.close)
        finally:
            self._busy -= 1
            if not self._busy:
                self._idle.set()
            self._free.release()
            self._usual_s += _WEIGHT_OF_LAST * (time.monotonic() - began - self._usual_s)
