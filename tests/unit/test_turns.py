"""Who is served when, and who is called off."""

from __future__ import annotations

import asyncio

import pytest

from services.contract.errors import AtCapacity, Cancelled, InvalidRequest, NotFound
from services.gateway.newavata.turns import Turns


def test_some_work_some_wait_and_the_rest_is_refused() -> None:
    async def run() -> None:
        turns, go = Turns(2, 1), asyncio.Event()
        working = [asyncio.create_task(turns.run(str(number), go.wait)) for number in range(3)]
        await asyncio.sleep(0.01)
        assert turns.load.model_dump() == {"processing_count": 2, "queue_length": 1, "max_concurrent": 2}
        assert turns.full
        assert turns.wait_s > 0
        with pytest.raises(AtCapacity) as refusal:
            await turns.run("late", go.wait)
        assert refusal.value.retry_after_s
        go.set()
        assert await asyncio.gather(*working) == [True] * 3
        assert turns.load.processing_count == turns.load.queue_length == 0
        assert turns.wait_s == 0

    asyncio.run(run())


def test_a_burst_is_refused_too() -> None:
    async def run() -> None:
        turns, go = Turns(1, 1), asyncio.Event()
        burst = [asyncio.create_task(turns.run(str(number), go.wait)) for number in range(50)]
        await asyncio.sleep(0.01)
        go.set()
        ended = await asyncio.gather(*burst, return_exceptions=True)
        assert sum(isinstance(result, AtCapacity) for result in ended) == 48

    asyncio.run(run())


def test_a_request_is_called_off_by_its_name() -> None:
    async def run() -> None:
        turns, go = Turns(1, 4), asyncio.Event()
        first, second = (asyncio.create_task(turns.run(name, go.wait)) for name in ("first", "second"))
        await asyncio.sleep(0.01)
        with pytest.raises(InvalidRequest):
            await turns.run("first", go.wait)
        with pytest.raises(NotFound):
            turns.cancel("third")
        assert turns.cancel("second") is True
        with pytest.raises(Cancelled):
            await second
        assert turns.cancel("first") is False
        with pytest.raises(Cancelled):
            await first
        go.set()
        assert await turns.run("first", go.wait)

    asyncio.run(run())


def test_who_leaves_takes_the_work_along() -> None:
    async def run() -> None:
        turns, ended = Turns(1, 4), asyncio.Event()

        async def work() -> None:
            try:
                await asyncio.sleep(10)
            finally:
                ended.set()

        reader = asyncio.create_task(turns.run("one", work))
        await asyncio.sleep(0.01)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        assert ended.is_set()
        assert turns.load.processing_count == 0

    asyncio.run(run())
