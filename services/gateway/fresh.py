"""Something another service tells, as it was a moment ago."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from services.contract.errors import ServiceError

T = TypeVar("T")


class Fresh(Generic[T]):
    """Asked for anew every `every_s` at most, once for all who want it.

    Only who comes first waits; the others are told what is known while it is asked for again. What cannot be
    had any more is forgotten.
    """

    def __init__(self, ask: Callable[[], Awaitable[T]], every_s: float) -> None:
        self._ask = ask
        self._every_s = every_s
        self._known: list[T] = []
        self._asked_at = float("-inf")
        self._asking: asyncio.Task[T] | None = None

    async def get(self) -> T:
        """Return it; raises what asking raises."""
        if time.monotonic() - self._asked_at > self._every_s and self._asking is None:
            self._asking = asyncio.create_task(self._asked())
            self._asking.add_done_callback(_seen)
        if not self._known and self._asking is not None:
            return await asyncio.shield(self._asking)
        return self._known[0]

    async def aclose(self) -> None:
        """Stop asking."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    async def _asked(self) -> T:
        try:
            self._known = [await self._ask()]
            self._asked_at = time.monotonic()
            return self._known[0]
        except ServiceError:
            self._known = []
            raise
        finally:
            self._asking = None


def _seen(task: asyncio.Task[T]) -> None:
    """Take note of a failure that nobody waited for."""
    if not task.cancelled():
        task.exception()
