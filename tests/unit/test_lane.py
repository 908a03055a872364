"""The engine lane: one at a time per slot, cancelled at the next yield, never piling up."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Generator
from contextlib import aclosing

import pytest

from services.chassis.lane import EngineLane
from services.contract.errors import AtCapacity, EngineFailed


class Recorder:
    """An engine that counts what it does; `pause` blocks its steps until it is set."""

    def __init__(self) -> None:
        self.pause = threading.Event()
        self.pause.set()
        self.running = 0
        self.most_running = 0
        self.made = 0
        self.closed = 0

    def count(self, last: int) -> Generator[int, None, None]:
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            for number in range(last):
                self.pause.wait(10)
                self.made += 1
                yield number
        finally:
            self.running -= 1
            self.closed += 1


async def collect(lane: EngineLane, engine: Recorder, last: int) -> list[int]:
    return [number async for number in lane.stream(lambda: engine.count(last))]


async def until(condition: Callable[[], object]) -> None:
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it never came true")


def test_a_lane_runs_one_generator_at_a_time_and_each_to_its_end() -> None:
    async def run() -> None:
        lane, engine = EngineLane("test"), Recorder()
        results = await asyncio.gather(*(collect(lane, engine, 20) for _ in range(5)))
        assert results == [list(range(20))] * 5
        assert engine.most_running == 1
        await until(lambda: not lane.busy)
        await lane.aclose()

    asyncio.run(run())


def test_slots_run_side_by_side() -> None:
    async def run() -> None:
        lane, engine = EngineLane("test", slots=3), Recorder()
        engine.pause.clear()
        readers = [asyncio.create_task(collect(lane, engine, 2)) for _ in range(5)]
        await until(lambda: engine.running == 3)
        assert (lane.busy, lane.waiting) == (3, 2)
        engine.pause.set()
        assert await asyncio.gather(*readers) == [[0, 1]] * 5
        assert engine.most_running == 3
        await lane.aclose()

    asyncio.run(run())


def test_a_lane_gives_way_to_another_but_not_for_ever() -> None:
    async def run() -> None:
        urgent, engine = EngineLane("urgent"), Recorder()
        lane = EngineLane("test", yields_to=urgent)
        engine.pause.clear()
        holding = asyncio.create_task(collect(urgent, engine, 1))
        await until(lambda: engine.running == 1)
        began = time.monotonic()
        assert await collect(lane, Recorder(), 2) == [0, 1]
        assert time.monotonic() - began > 0.5  # three steps, each put off
        engine.pause.set()
        assert await holding == [0]
        assert await collect(lane, Recorder(), 2) == [0, 1]
        await lane.aclose()
        await urgent.aclose()

    asyncio.run(run())


def test_a_full_waiting_room_is_refused_before_any_work() -> None:
    async def run() -> None:
        lane, engine = EngineLane("test", max_waiting=1), Recorder()
        engine.pause.clear()
        readers = [asyncio.create_task(collect(lane, engine, 1)) for _ in range(2)]
        await until(lambda: lane.busy and lane.waiting)
        with pytest.raises(AtCapacity) as refusal:
            await collect(lane, engine, 1)
        assert refusal.value.retry_after_s == 2
        engine.pause.set()
        assert await asyncio.gather(*readers) == [[0], [0]]
        assert engine.made == 2
        await lane.aclose()

    asyncio.run(run())


def test_a_reader_that_stops_closes_the_generator() -> None:
    async def run() -> None:
        lane, engine = EngineLane("test"), Recorder()
        async with aclosing(lane.stream(lambda: engine.count(1_000))) as numbers:
            assert await anext(numbers) == 0
        await until(lambda: not lane.busy)
        assert (engine.made, engine.closed) == (1, 1)
        await lane.aclose()

    asyncio.run(run())


def test_a_cancelled_reader_ends_the_generator_at_its_next_yield() -> None:
    async def run() -> None:
        lane, engine = EngineLane("test"), Recorder()
        engine.pause.clear()
        reader = asyncio.create_task(collect(lane, engine, 1_000))
        await until(lambda: engine.running)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        assert lane.busy == 1  # the engine is still inside its step, and nobody else may use it
        engine.pause.set()
        await until(lambda: not lane.busy)
        assert (engine.made, engine.closed) == (1, 1)
        assert await collect(lane, engine, 2) == [0, 1]
        await lane.aclose()

    asyncio.run(run())


def test_a_reader_that_gives_up_waiting_leaves_the_queue() -> None:
    async def run() -> None:
        lane, engine = EngineLane("test"), Recorder()
        engine.pause.clear()
        first = asyncio.create_task(collect(lane, engine, 1))
        second = asyncio.create_task(collect(lane, engine, 1))
        await until(lambda: lane.waiting)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        assert lane.waiting == 0
        engine.pause.set()
        assert await first == [0]
        assert await collect(lane, engine, 1) == [0]
        await lane.aclose()

    asyncio.run(run())


def failing(after: int) -> Generator[int, None, None]:
    yield from range(after)
    raise EngineFailed("broken")


@pytest.mark.parametrize("after", [0, 1, 5])
def test_errors_reach_the_reader_and_free_the_lane(after: int) -> None:
    async def run() -> None:
        lane, engine, seen = EngineLane("test"), Recorder(), 0
        with pytest.raises(EngineFailed):
            async for _ in lane.stream(lambda: failing(after)):
                seen += 1
        assert seen == after
        assert await collect(lane, engine, 1) == [0]
        await lane.aclose()

    asyncio.run(run())


def test_an_engine_that_cannot_start_frees_the_lane() -> None:
    def broken() -> Generator[int, None, None]:
        raise EngineFailed("not a generator at all")

    async def run() -> None:
        lane = EngineLane("test")
        for _ in range(3):
            with pytest.raises(EngineFailed):
                async for _ in lane.stream(broken):
                    pass
        await until(lambda: not lane.busy)
        await lane.aclose()

    asyncio.run(run())


def test_a_slow_reader_holds_the_engine_back() -> None:
    async def run() -> None:
        lane, engine = EngineLane("test"), Recorder()
        async with aclosing(lane.stream(lambda: engine.count(1_000))) as numbers:
            for expected in range(5):
                assert await anext(numbers) == expected
                await asyncio.sleep(0.01)
                assert engine.made == expected + 1
        await lane.aclose()

    asyncio.run(run())
