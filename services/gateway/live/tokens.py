"""Text that is still being written, on its way to the pipeline."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol


class Flush:
    """Among tokens: speak what is there, finished or not."""


FLUSH = Flush()

Token = str | Flush

_MOST_CHARS = 200_000
"""Text that waits to be spoken: four hours of it. Who writes more waits, and whatever they send after it."""


class Tokens(Protocol):
    """Tokens as they are written. An async generator is such a thing, too."""

    async def __anext__(self) -> Token:
        """Return the next one."""

    async def aclose(self) -> None:
        """Say that no more are wanted."""


class TokenFeed:
    """Tokens that one task writes and another reads."""

    def __init__(self, most_chars: int = _MOST_CHARS) -> None:
        self._most_chars = most_chars
        self._tokens: deque[Token] = deque()
        self._chars = 0
        self._half = ""
        self._ended = False
        self._unread = False
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    async def write(self, token: Token) -> None:
        """Add a token; returns once there is room for more, or nobody reads any more."""
        if self._unread:
            return
        if isinstance(token, str):
            token, self._half = _whole(self._half + token)
        self._chars += _room_of(token)
        self._tokens.append(token)
        self._news.set()
        if self._chars > self._most_chars:
            self._room.clear()
        await self._room.wait()

    def end(self) -> None:
        """Say that all is written."""
        self._ended = True
        self._news.set()

    def __aiter__(self) -> TokenFeed:
        return self

    async def __anext__(self) -> Token:
        while not self._tokens:
            if self._ended or self._unread:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        token = self._tokens.popleft()
        self._chars -= _room_of(token)
        if self._chars <= self._most_chars:
            self._room.set()
        return token

    async def aclose(self) -> None:
        """Say that nobody reads any more: whoever writes goes on."""
        self._unread = True
        self._tokens.clear()
        self._room.set()
        self._news.set()


def _room_of(token: Token) -> int:
    """Return how many letters a token counts for; one without any takes room, too."""
    return max(1, len(token)) if isinstance(token, str) else 1


def _whole(text: str) -> tuple[str, str]:
    """Return `text` without halves of letters, and the half it ends with: clients cut emoji in two."""
    half = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
    whole = text[: len(text) - len(half)]
    return whole.encode("utf-16", "surrogatepass").decode("utf-16", "replace"), half
