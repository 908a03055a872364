"""The utterances of one session: spoken one after the other, until somebody interrupts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass

from services.contract.errors import TooManyRequests
from services.gateway.live.journal import Journal
from services.gateway.live.tokens import Token, TokenFeed

_MOST_WAITING = 100
"""Utterances that are written while an earlier one is spoken. More are refused: were they waited for, an
interruption behind them would wait, too."""


@dataclass(frozen=True)
class Utterance:
    """A text to be spoken, which may still be written."""

    index: int
    generation: int
    """How often the session was interrupted before it."""
    tokens: AsyncGenerator[Token, None]
    journal: Journal


Perform = Callable[[Utterance], Awaitable[None]]
"""Speaks an utterance to its end; cancelled where it is interrupted."""


class Turns:
    """Speaks utterances in order. `generation` goes up with each interruption."""

    def __init__(self, name: str, perform: Perform) -> None:
        """`name` stands in the log."""
        self._name = name
        self._perform = perform
        self._waiting: asyncio.Queue[Utterance | None] = asyncio.Queue()
        self._current: asyncio.Task[None] | None = None
        self._begun = 0
        self.generation = 0

    async def say(self, tokens: AsyncGenerator[Token, None]) -> Utterance:
        """Have a text spoken after those before it; raises `TooManyRequests`."""
        if self._waiting.qsize() >= _MOST_WAITING:
            await tokens.aclose()
            raise TooManyRequests(f"{_MOST_WAITING} utterances wait to be spoken; interrupt, or send no more of them.")
        journal = Journal(f"{self._name} utterance {self._begun}")
        utterance = Utterance(self._begun, self.generation, tokens, journal)
        self._begun += 1
        self._waiting.put_nowait(utterance)
        return utterance

    def finish(self) -> None:
        """Say that nothing follows: `run` returns once all is spoken."""
        self._waiting.put_nowait(None)

    async def interrupt(self) -> None:
        """Stop what is spoken and drop what waits. When this returns, nothing of it goes on."""
        self.generation += 1
        dropped: list[Utterance] = []
        finished = False
        while not self._waiting.empty():
            waiting = self._waiting.get_nowait()
            finished = finished or waiting is None
            dropped += [waiting] if waiting is not None else []
        if finished:
            self._waiting.put_nowait(None)
        if self._current is not None:
            self._current.cancel()
            await asyncio.wait([self._current])
        for utterance in dropped:
            await utterance.tokens.aclose()

    async def run(self) -> None:
        """Speak until `finish`, or until cancelled."""
        try:
            while (utterance := await self._waiting.get()) is not None:
                self._current = asyncio.create_task(self._speak(utterance))
                await asyncio.wait([self._current])
                if not self._current.cancelled():
                    self._current.result()
        finally:
            if self._current is not None:
                self._current.cancel()
                await asyncio.gather(self._current, return_exceptions=True)

    async def _speak(self, utterance: Utterance) -> None:
        try:
            await self._perform(utterance)
        finally:
            await utterance.tokens.aclose()


class Writing:
    """The utterance that a client writes piece by piece."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._feed: TokenFeed | None = None
        self._utterance: Utterance | None = None

    @property
    def open(self) -> bool:
        """Whether one has begun that is not finished."""
        return self._feed is not None and self._utterance is not None and not self._is_stale

    @property
    def _is_stale(self) -> bool:
        return self._utterance is not None and self._utterance.generation != self._turns.generation

    async def begin(self) -> Utterance:
        """Return the utterance being written, a new one where there is none."""
        if self._utterance is None or self._is_stale:
            self._feed = TokenFeed()
            self._utterance = await self._turns.say(self._feed.read())
        return self._utterance

    async def write(self, token: Token) -> None:
        """Add to it; returns once there is room for more."""
        await self.begin()
        assert self._feed is not None
        await self._feed.write(token)

    async def end(self) -> None:
        """Finish it. Without a word it is an utterance, too."""
        await self.begin()
        assert self._feed is not None
        self._feed.end()
        self._feed = self._utterance = None
