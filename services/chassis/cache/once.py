"""Results made once for all who want them: in this process by joining, across replicas by waiting."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Generic, TypeVar

from services.chassis.cache.claims import claimed
from services.chassis.cache.shared import RedisCache
from services.chassis.flights import Flights

T = TypeVar("T")


class Once(Generic[T]):
    """Streams by key. Keys begin with `prefix` in Redis, where replicas claim them."""

    def __init__(self, shared: RedisCache | None, prefix: str) -> None:
        self._shared = shared
        self._prefix = prefix
        self._flights: Flights[T] = Flights()

    def join(self, key: str) -> AsyncGenerator[T, None] | None:
        """Return what is being made in this process, from its first piece on; None when nothing is."""
        return self._flights.join(key)

    def make(
        self,
        key: str,
        made: AsyncGenerator[T, None],
        found: Callable[[], Awaitable[T | None]],
        keep: Callable[[Sequence[T]], Awaitable[None]],
    ) -> AsyncGenerator[T, None]:
        """Yield `made`, and `keep` it once it is whole; or what is `found` when another replica made it meanwhile."""
        return self._flights.start(key, self._made(key, made, found, keep))

    async def _made(
        self,
        key: str,
        made: AsyncGenerator[T, None],
        found: Callable[[], Awaitable[T | None]],
        keep: Callable[[Sequence[T]], Awaitable[None]],
    ) -> AsyncGenerator[T, None]:
        async with aclosing(made), claimed(self._shared, self._prefix + key) as waited:
            if waited and (result := await found()) is not None:
                yield result
                return
            whole: list[T] = []
            async for piece in made:
                whole.append(piece)
                yield piece
            if whole:
                await keep(whole)
