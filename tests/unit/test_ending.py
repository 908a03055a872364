"""Tasks end for certain, also those that miss their cancellation."""

from __future__ import annotations

import asyncio

from services.chassis.cache.claims import claimed
from services.chassis.cache.shared import RedisCache
from services.chassis.ending import end_tasks


async def deaf(times: int) -> None:
    """Work on, whatever is said, so many times."""
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            if not times:
                raise
            times -= 1


def test_a_task_that_misses_its_cancellation_is_cancelled_again() -> None:
    async def visit() -> None:
        tasks = [asyncio.create_task(deaf(times)) for times in (0, 1)]
        await asyncio.sleep(0)
        await asyncio.wait_for(end_tasks(*tasks), 10)
        assert all(task.cancelled() for task in tasks)

    asyncio.run(visit())


def test_what_ended_by_itself_or_broke_is_no_matter() -> None:
    async def broken() -> None:
        raise ValueError("broken")

    async def visit() -> None:
        done = asyncio.create_task(asyncio.sleep(0))
        failed = asyncio.create_task(broken())
        await asyncio.sleep(0.01)
        await end_tasks(done, failed)

    asyncio.run(visit())


class DeafRedis(RedisCache):
    """Swallows the cancellation of what asks it, as `asyncio.wait_for` may."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def claim(self, key: str, for_s: float) -> bool:
        return True

    async def renew(self, key: str, for_s: float) -> None:
        self.asked.set()
        try:
            await asyncio.sleep(0.5)
        except asyncio.CancelledError:
            return

    async def release(self, key: str) -> None: ...


def test_a_claim_is_given_back_though_its_renewal_misses_that() -> None:
    async def visit() -> None:
        shared = DeafRedis()

        async def hold() -> None:
            async with claimed(shared, "claim"):
                await shared.asked.wait()

        await asyncio.wait_for(hold(), 10)

    asyncio.run(visit())
