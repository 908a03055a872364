"""Sees to it that nobody waits for a replica that hangs while it stays connected."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from services.chassis.ending import end_tasks
from services.gateway.exchange import Exchange
from services.gateway.replicas import Replica

_LOOK_EVERY_S = 4.0
"""A replica that has sent nothing of an answer between two looks is asked whether it lives."""
_TRIES = 2
_AGAIN_S = 1.0


class Watch:
    """Breaks off what is asked of a replica that does not even say that it lives.

    There is one task for each replica that has something to do; silence alone is no fault, since work
    that waits for its turn is silent, and so is the preparing of a face.
    """

    def __init__(self, lives: Callable[[Replica], Awaitable[bool]]) -> None:
        self._lives = lives
        self._looking: dict[Replica, asyncio.Task[None]] = {}

    def over(self, replica: Replica) -> None:
        """Watch `replica` until it has nothing more to do."""
        if replica not in self._looking:
            self._looking[replica] = asyncio.create_task(self._look(replica))

    async def aclose(self) -> None:
        """Watch no more."""
        await end_tasks(*self._looking.values())

    async def _look(self, replica: Replica) -> None:
        try:
            while replica.exchanges:
                await asyncio.sleep(_LOOK_EVERY_S)
                if _silent(replica) and await self._hangs(replica):
                    for exchange in _silent(replica):
                        await exchange.break_off()
        finally:
            del self._looking[replica]

    async def _hangs(self, replica: Replica) -> bool:
        for number in range(_TRIES):
            await asyncio.sleep(_AGAIN_S if number else 0)
            if await self._lives(replica):
                return False
        return True


def _silent(replica: Replica) -> list[Exchange]:
    """Return what nothing has come of since this was called before."""
    return [exchange for exchange in replica.exchanges if exchange.silent()]
