"""Work runs ahead of its reader, only so far, and ends with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from services.gateway.ahead import ahead


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
        return [item async for item in ahead(Source(50).items(), 3)]

    assert asyncio.run(run()) == list(range(50))


def test_the_source_runs_ahead_but_only_so_far() -> None:
    source = Source(50)

    async def run() -> int:
        async with aclosing(ahead(source.items(), 3)) as items:
            await anext(items)
            for _ in range(50):
                await asyncio.sleep(0)
            return source.made

    assert 3 <= asyncio.run(run()) <= 5


def test_an_error_comes_in_its_place() -> None:
    async def run() -> list[int]:
        seen: list[int] = []
        with pytest.raises(ValueError, match="the source broke"):
            async for item in ahead(Source(9, fails_at=4).items(), 2):
                seen.append(item)
        return seen

    assert asyncio.run(run()) == [0, 1, 2, 3]


def test_the_source_is_closed_when_the_reader_leaves() -> None:
    source = Source(50)

    async def run() -> int:
        async with aclosing(ahead(source.items(), 3)) as items:
            await anext(items)
        return len(asyncio.all_tasks())

    assert asyncio.run(run()) == 1
    assert source.closed
