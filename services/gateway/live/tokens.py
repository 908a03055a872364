"""Text that is still being written, on its way to the pipeline."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator


class Flush:
    """Among tokens: speak what is there, finished or not."""


FLUSH = Flush()

Token = str | Flush

_MOST_CHARS = 20_000
"""Text that waits to be spoken: a quarter of an hour of it. Who writes more waits."""


class TokenFeed:
    """Tokens that one task writes and another reads."""

    def __init__(self, most_chars: int = _MOST_CHARS) -> None:
        self._most_chars = most_chars
        self._tokens: deque[Token] = deque()
        self._chars = 0
        self._ended = False
        self._unread = False
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    async def write(self, token: Token) -> None:
        """Add a token; returns once there is room for more, or nobody reads any more."""
        if self._unread:
            return
        self._tokens.append(token)
        self._chars += _length(token)
        self._news.set()
        if self._chars > self._most_chars:
            self._room.clear()
        await self._room.wait()

    def end(self) -> None:
        """Say that all is written."""
        self._ended = True
        self._news.set()

    async def read(self) -> AsyncGenerator[Token, None]:
        """Yield the tokens until the end. Closing it lets whoever writes go on."""
        try:
            while True:
                while self._tokens:
                    token = self._tokens.popleft()
                    self._chars -= _length(token)
                    if self._chars <= self._most_chars:
                        self._room.set()
                    yield token
                if self._ended:
                    return
                self._news.clear()
                await self._news.wait()
        finally:
            self._unread = True
            self._tokens.clear()
            self._room.set()


def _length(token: Token) -> int:
    return len(token) if isinstance(token, str) else 0
