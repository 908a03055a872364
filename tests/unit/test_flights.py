"""Single flight."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from services.chassis.flights import Flights


class Source:
    """Yields numbers until it is told to end; knows what became of it."""

    def __init__(self, *, breaks: bool = False) -> None:
        self.go_on = asyncio.Event()
        self.ended = self.closed = False
        self._breaks = breaks

    async def numbers(self) -> AsyncGenerator[int, None]:
        try:
            yield 1
            yield 2
            await self.go_on.wait()
            if self._breaks:
                raise ValueError("broken")
            yield 3
            self.ended = True
        finally:
            self.closed = True


def test_who_joins_gets_all_of_it() -> None:
    async def visit() -> None:
        flights, source = Flights[int](), Source()
        assert flights.join("a") is None
        first = flights.start("a", source.numbers())
        assert [await anext(first), await anext(first)] == [1, 2]
        second = flights.join("a")
        assert second is not None
        source.go_on.set()
        assert [item async for item in second] == [1, 2, 3]
        assert [item async for item in first] == [3]
        assert flights.join("a") is None

    asyncio.run(visit())


def test_it_goes_on_as_long_as_somebody_listens() -> None:
    async def visit() -> None:
        flights, source = Flights[int](), Source()
        first = flights.start("a", source.numbers())
        await anext(first)
        second = flights.join("a")
        assert second is not None
        await anext(second)
        await first.aclose()
        assert not source.closed
        await second.aclose()
        assert source.closed and not source.ended
        assert flights.join("a") is None

    asyncio.run(visit())


def test_a_failure_is_told_to_all() -> None:
    async def visit() -> None:
        flights, source = Flights[int](), Source(breaks=True)
        first = flights.start("a", source.numbers())
        second = flights.join("a")
        assert second is not None
        source.go_on.set()
        for listener in (first, second):
            async with aclosing(listener):
                assert [await anext(listener), await anext(listener)] == [1, 2]
                with pytest.raises(ValueError, match="broken"):
                    await anext(listener)
        assert flights.join("a") is None

    asyncio.run(visit())


def test_nobody_joins_what_is_being_called_off() -> None:
    async def visit() -> None:
        flights = Flights[int]()
        going = asyncio.Event()

        async def slow_to_go() -> AsyncGenerator[int, None]:
            try:
                yield 1
                await asyncio.sleep(60)
            finally:
                await going.wait()

        first = flights.start("a", slow_to_go())
        await anext(first)
        leaving = asyncio.create_task(first.aclose())
        await asyncio.sleep(0.01)
        assert flights.join("a") is None
        source = Source()
        second = flights.start("a", source.numbers())
        going.set()
        await leaving
        assert flights.join("a") is not None, "the old one's end is not the new one's"
        source.go_on.set()
        assert [item async for item in second] == [1, 2, 3]

    asyncio.run(visit())


def test_who_was_let_in_counts_before_it_listens() -> None:
    async def visit() -> None:
        flights, source = Flights[int](), Source()
        first = flights.start("a", source.numbers())
        await anext(first)
        second = flights.join("a")
        await first.aclose()
        assert second is not None
        source.go_on.set()
        assert [item async for item in second] == [1, 2, 3]

    asyncio.run(visit())
