"""The cache: whole results by key, in memory and, where there is one, in Redis.

A cache may lose anything at any time; it never fails a request. Keys begin with what they belong
to (`tts:speech:`), so that everything of one kind can be dropped together.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import redis.asyncio as redis
from cachetools import TTLCache

_log = logging.getLogger(__name__)

_REDIS_PATIENCE_S = 0.25


class Cache(Protocol):
    """Keeps bytes."""

    async def get(self, key: str) -> bytes | None:
        """Return what was kept, or None."""

    async def put(self, key: str, value: bytes) -> None:
        """Keep `value`."""

    async def remove(self, prefix: str) -> int:
        """Drop everything whose key begins with `prefix`, and return how much that was, if known."""

    async def expire(self) -> int:
        """Drop what is out of date, and return how much that was, if known."""

    async def close(self) -> None:
        """Let go of connections."""


class MemoryCache:
    """Keeps the most recently used results of this process."""

    def __init__(self, max_size: int, ttl_s: float) -> None:
        self._kept: TTLCache[str, bytes] = TTLCache(max_size, ttl_s)
        self.max_size = max_size

    @property
    def size(self) -> int:
        """How many results are kept."""
        return len(self._kept)

    async def get(self, key: str) -> bytes | None:
        """Return what was kept, or None."""
        return self._kept.get(key)

    async def put(self, key: str, value: bytes) -> None:
        """Keep `value`; the least recently used makes room."""
        self._kept[key] = value

    async def remove(self, prefix: str) -> int:
        """Drop everything whose key begins with `prefix`, and return how much that was."""
        keys = [key for key in self._kept if key.startswith(prefix)]
        for key in keys:
            self._kept.pop(key, None)
        return len(keys)

    async def expire(self) -> int:
        """Drop what is out of date, and return how much that was."""
        return len(self._kept.expire())

    async def close(self) -> None:
        """Nothing is held open."""


class RedisCache:
    """Keeps results for all replicas. Redis away or slow is a miss, told once in the log until it is back."""

    def __init__(self, url: str, ttl_s: int) -> None:
        self._redis = redis.Redis.from_url(
            url, socket_timeout=_REDIS_PATIENCE_S, socket_connect_timeout=_REDIS_PATIENCE_S
        )
        self._ttl_s = ttl_s
        self._away = False

    async def get(self, key: str) -> bytes | None:
        """Return what was kept, or None."""
        async with self._trying():
            kept = await self._redis.get(key)
            return kept if isinstance(kept, bytes) else None
        return None

    async def put(self, key: str, value: bytes) -> None:
        """Keep `value` for a while."""
        async with self._trying():
            await self._redis.set(key, value, ex=self._ttl_s)

    async def remove(self, prefix: str) -> int:
        """Drop everything whose key begins with `prefix`, and return how much that was."""
        removed = 0
        async with self._trying():
            async for key in self._redis.scan_iter(match=f"{_escaped(prefix)}*", count=1000):
                removed += int(await self._redis.delete(key))
        return removed

    async def expire(self) -> int:
        """Redis does that by itself."""
        return 0

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    @asynccontextmanager
    async def _trying(self) -> AsyncIterator[None]:
        try:
            yield
        except (redis.RedisError, OSError) as error:
            if not self._away:
                _log.warning("going on without the shared cache: %s", error)
            self._away = True
        else:
            if self._away:
                _log.info("the shared cache is back")
            self._away = False


class TieredCache:
    """A fast cache before a shared one."""

    def __init__(self, near: Cache, far: Cache) -> None:
        self._near, self._far = near, far

    async def get(self, key: str) -> bytes | None:
        """Return what was kept, or None; what only the shared one had is kept near from now on."""
        if (kept := await self._near.get(key)) is not None:
            return kept
        if (kept := await self._far.get(key)) is not None:
            await self._near.put(key, kept)
        return kept

    async def put(self, key: str, value: bytes) -> None:
        """Keep `value` in both."""
        await self._near.put(key, value)
        await self._far.put(key, value)

    async def remove(self, prefix: str) -> int:
        """Drop everything whose key begins with `prefix` from both."""
        return max(await self._near.remove(prefix), await self._far.remove(prefix))

    async def expire(self) -> int:
        """Drop what is out of date."""
        return await self._near.expire() + await self._far.expire()

    async def close(self) -> None:
        """Let go of both."""
        await self._near.close()
        await self._far.close()


def _escaped(prefix: str) -> str:
    return "".join(f"\\{character}" if character in "*?[]\\" else character for character in prefix)
