"""Work runs ahead of its reader, only so far, and ends with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from services.gateway.ahead import Ahead, all_of, side_by_side


class Source:
    """Counts what it made, and whether it was closed."""

    def __init__(self, count: int, fails_at: int | None = None) -> None:
        self.count, self.fails_at, self.made, self.closed = count, fails_at, 0, False

    async def items(self) -> AsyncGenerator[int, None]:
        try:
            for number in range(self.count):
                if number == self.fails_at:
                    raise ValueError("the source broke")
                self.made += 1
                yield number
                await asyncio.sleep(0)
        finally:
            self.closed = True


def test_everything_comes_in_order() -> None:
    async def run() -> list[int]:
        return [item async for item in Ahead(Source(50).items(), 3)]

    assert asyncio.run(run()) == list(range(50))


def test_the_source_runs_ahead_but_only_so_far() -> None:
    source = Source(50)

    async def run() -> int:
        async with aclosing(Ahead(source.items(), 3)) as items:
            await anext(items)
            for _ in range(50):
                await asyncio.sleep(0)
            return source.made

    assert 3 <= asyncio.run(run()) <= 5


def test_an_error_comes_in_its_place() -> None:
    async def run() -> list[int]:
        seen: list[int] = []
        with pytest.raises(ValueError, match="the source broke"):
            async for item in Ahead(Source(9, fails_at=4).items(), 2):
                seen.append(item)
        return seen

    assert asyncio.run(run()) == [0, 1, 2, 3]


def test_the_source_is_closed_when_the_reader_leaves() -> None:
    source = Source(50)

    async def run() -> int:
        async with aclosing(Ahead(source.items(), 3)) as items:
            await anext(items)
        return len(asyncio.all_tasks())

    assert asyncio.run(run()) == 1
    assert source.closed


def test_one_that_is_dropped_is_at_its_end() -> None:
    source = Source(50)

    async def run() -> tuple[int, list[int]]:
        async with aclosing(Ahead(source.items(), 3)) as items:
            first = await anext(items)
            items.drop()
            return first, [item async for item in items]

    assert asyncio.run(run()) == (0, [])
    assert source.closed


def test_whoever_waits_for_one_that_is_dropped_is_told() -> None:
    async def never() -> AsyncGenerator[int, None]:
        await asyncio.Event().wait()
        yield 0

    async def run() -> list[int]:
        async with aclosing(Ahead(never(), 3)) as items:
            asyncio.get_running_loop().call_later(0.01, items.drop)
            return await asyncio.wait_for(_all(items), 10)

    async def _all(items: Ahead[int]) -> list[int]:
        return [item async for item in items]

    assert asyncio.run(run()) == []


def lines(
    started: list[int], count: int, length: int, fails_at: int | None = None
) -> AsyncGenerator[AsyncGenerator[int, None], None]:
    """Give `count` sources; source n notes its start and yields 100 n, 100 n + 1, ..."""

    async def one(number: int) -> AsyncGenerator[int, None]:
        started.append(number)
        for item in range(length):
            await asyncio.sleep(0)
            if number == fails_at:
                raise ValueError("a source broke")
            yield 100 * number + item

    async def every() -> AsyncGenerator[AsyncGenerator[int, None], None]:
        for number in range(count):
            yield one(number)

    return every()


@pytest.mark.parametrize("at_once", [1, 2, 5, 50])
def test_sources_side_by_side_are_read_in_order(at_once: int) -> None:
    async def run() -> list[int]:
        return [item async for item in side_by_side(lines([], 20, 7), at_once, 3)]

    assert asyncio.run(run()) == [100 * number + item for number in range(20) for item in range(7)]


@pytest.mark.parametrize("at_once", [1, 2, 5, 50])
def test_a_source_that_is_dropped_is_passed_over(at_once: int) -> None:
    sources: list[Ahead[int]] = []

    def begun(source: Ahead[int]) -> None:
        sources.append(source)
        if len(sources) % 2 == 0:
            source.drop()

    async def run() -> list[int]:
        return [item async for item in side_by_side(lines([], 20, 7), at_once, 3, begun)]

    assert asyncio.run(run()) == [100 * number + item for number in range(0, 20, 2) for item in range(7)]


@pytest.mark.parametrize("at_once", [1, 3])
def test_only_so_many_sources_run_before_their_turn(at_once: int) -> None:
    started: list[int] = []

    async def run() -> None:
        async with aclosing(side_by_side(lines(started, 20, 7), at_once, 99)) as items:
            assert await anext(items) == 0
            for _ in range(200):
                await asyncio.sleep(0)

    asyncio.run(run())
    assert started == list(range(at_once))


def test_what_a_source_raises_comes_after_what_stands_before_it() -> None:
    async def run() -> tuple[list[int], int]:
        seen: list[int] = []
        with pytest.raises(ValueError, match="a source broke"):
            async for item in side_by_side(lines([], 20, 3, fails_at=2), 4, 99):
                seen.append(item)
        return seen, len(asyncio.all_tasks())

    assert asyncio.run(run()) == ([0, 1, 2, 100, 101, 102], 1)


def test_a_reader_that_leaves_stops_all_that_run() -> None:
    async def run() -> int:
        async with aclosing(side_by_side(lines([], 20, 7), 4, 2)) as items:
            await anext(items)
        return len(asyncio.all_tasks())

    assert asyncio.run(run()) == 1


def test_all_of_them_in_order_and_only_so_many_at_once() -> None:
    busy, most = 0, 0

    async def work(number: int) -> int:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0.001)
        busy -= 1
        return number

    works = [lambda number=number: work(number) for number in range(20)]
    assert asyncio.run(all_of(works, 3)) == list(range(20))  # type: ignore[arg-type]
    assert most == 3


def test_the_first_failure_stops_the_others() -> None:
    ended: list[str] = []

    async def fails() -> None:
        await asyncio.sleep(0.001)
        raise ValueError("no")

    async def lasts() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("stopped")

    with pytest.raises(ValueError, match="no"):
        asyncio.run(all_of([lasts, fails, lasts, lasts], 3))
    assert len(ended) >= 2
