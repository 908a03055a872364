"""The utterances of one session: spoken one after the other, until somebody interrupts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from services.chassis.ending import end_tasks
from services.contract.errors import TooManyRequests
from services.gateway.live.journal import Journal
from services.gateway.live.tokens import Token, TokenFeed, Tokens

_MOST_WAITING = 40
"""Utterances that are written while an earlier one is spoken. More are refused: were they waited for, an
interruption behind them would wait, too."""


@dataclass(frozen=True)
class Utterance:
    """A text to be spoken, which may still be written."""

    index: int
    generation: int
    """How often the session was interrupted before it."""
    tokens: Tokens
    journal: Journal


Perform = Callable[[Utterance], Awaitable[None]]
"""Speaks an utterance to its end; cancelled where it is interrupted."""


class Turns:
    """Speaks utterances in order. `generation` goes up with each interruption."""

    def __init__(self, name: str, performance: Callable[[], Perform]) -> None:
        """`name` stands in the log. `performance` says how an utterance is spoken that comes now."""
        self._name = name
        self._performance = performance
        self._caller_done: float | None = None
        self._waiting: asyncio.Queue[tuple[Utterance, Perform] | None] = asyncio.Queue()
        self._current: asyncio.Task[None] | None = None
        self._begun = 0
        self.generation = 0

    @property
    def following(self) -> int:
        """The index of the next utterance."""
        return self._begun

    @property
    def busy(self) -> bool:
        """Whether something is spoken, or waits for it."""
        return not self._waiting.empty() or (self._current is not None and not self._current.done())

    def caller_done(self) -> None:
        """Say that the caller has stopped speaking now: the log of the next utterance counts from here."""
        self._caller_done = time.monotonic()

    async def say(self, tokens: Tokens) -> Utterance:
        """Have a text spoken after those before it; raises `TooManyRequests`."""
        if self._waiting.qsize() >= _MOST_WAITING:
            await tokens.aclose()
            raise TooManyRequests(f"{_MOST_WAITING} utterances wait to be spoken; interrupt, or send no more of them.")
        journal = Journal(f"{self._name} utterance {self._begun}", began_s=self._caller_done)
        utterance = Utterance(self._begun, self.generation, tokens, journal)
        self._caller_done = None
        self._begun += 1
        self._waiting.put_nowait((utterance, self._performance()))
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
            dropped += [waiting[0]] if waiting is not None else []
        if finished:
            self._waiting.put_nowait(None)
        if self._current is not None:
            await end_tasks(self._current)
        for utterance in dropped:
            await utterance.tokens.aclose()

    async def run(self) -> None:
        """Speak until `finish`, or until cancelled."""
        try:
            while (waiting := await self._waiting.get()) is not None:
                self._current = asyncio.create_task(self._speak(*waiting))
                await asyncio.wait([self._current])
                if not self._current.cancelled():
                    self._current.result()
        finally:
            if self._current is not None:
                await end_tasks(self._current)

    async def _speak(self, utterance: Utterance, perform: Perform) -> None:
        try:
            await perform(utterance)
        finally:
            await utterance.tokens.aclose()


class Writing:
    """The utterance that a client writes piece by piece."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._feed: TokenFeed | None = None
        self._refused = False
        self._generation = 0

    @property
    def open(self) -> bool:
        """Whether one has begun that is not finished."""
        return self._feed is not None and self._generation == self._turns.generation

    async def write(self, token: Token) -> None:
        """Add to it; returns once there is room for more. Raises `TooManyRequests`, once for each utterance."""
        if (feed := await self._begun()) is not None:
            await feed.write(token)

    async def end(self) -> None:
        """Finish it. Without a word it is an utterance, too."""
        feed = await self._begun()
        if feed is not None:
            feed.end()
        self._feed, self._refused = None, False

    async def _begun(self) -> TokenFeed | None:
        """Return the one being written, a new one where there is none; None where it was refused."""
        if self._generation != self._turns.generation:
            self._feed, self._refused, self._generation = None, False, self._turns.generation
        if self._feed is None and not self._refused:
            feed, self._refused = TokenFeed(), True
            await self._turns.say(feed)
            self._feed, self._refused = feed, False
        return self._feed
