"""Results in Redis, for all replicas."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Sequence
from typing import TypeVar

import redis.asyncio as redis
from redis.exceptions import ResponseError

from services.chassis.breaker import Breaker
from services.chassis.cache.failures import CacheFailures

_log = logging.getLogger(__name__)

T = TypeVar("T")

_PATIENCE_S = 0.25
_LARGEST_BYTES = 64 * 1024**2


class RedisCache:
    """Redis away, slow or full is a miss, counted each time and told once in the log until it is back.

    After a failure it is left alone for up to five seconds, so that requests do not wait for it one by one.
    How much it holds, and that the least recently used goes first, is Redis' own setting (`maxmemory`).
    """

    def __init__(self, url: str, ttl_s: int, failures: CacheFailures) -> None:
        self._redis = redis.Redis.from_url(url, socket_timeout=_PATIENCE_S, socket_connect_timeout=_PATIENCE_S)
        self._ttl_s = ttl_s
        self._failures = failures
        self._breaker = Breaker()
        self._refusing = False

    async def get(self, key: str) -> bytes | None:
        """Return what was kept, or None."""
        kept = await self._tried("get", self._redis.get(key)) if self._breaker.allows() else None
        return kept if isinstance(kept, bytes) else None

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return what was kept under each of `keys`."""
        kept = await self._tried("get", self._redis.mget(keys)) if keys and self._breaker.allows() else None
        return [value if isinstance(value, bytes) else None for value in kept or [None] * len(keys)]

    async def put(self, key: str, value: bytes) -> None:
        """Keep `value` for a while."""
        if len(value) <= _LARGEST_BYTES and self._breaker.allows():
            await self._tried("put", self._redis.set(key, value, ex=self._ttl_s))

    async def remove(self, prefix: str) -> int:
        """Drop everything whose key begins with `prefix`, and return how much that was."""
        return await self._tried("remove", self._removed(prefix)) or 0

    async def expire(self) -> int:
        """Redis does that by itself."""
        return 0

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def claim(self, key: str, for_s: float) -> bool:
        """Return whether nobody else has claimed `key`, which is the caller's now; also where Redis cannot tell."""
        claimed = await self._tried("claim", self._claimed(key, for_s)) if self._breaker.allows() else None
        return claimed is None or claimed

    async def release(self, key: str) -> None:
        """Give a claim back."""
        if self._breaker.allows():
            await self._tried("release", self._redis.delete(key))

    async def renew(self, key: str, for_s: float) -> None:
        """Hold a claim for longer."""
        if self._breaker.allows():
            await self._tried("claim", self._redis.pexpire(key, round(1000 * for_s)))

    async def _claimed(self, key: str, for_s: float) -> bool:
        return bool(await self._redis.set(key, b"", nx=True, px=round(1000 * for_s)))

    async def _removed(self, prefix: str) -> int:
        removed = 0
        async for key in self._redis.scan_iter(match=f"{_escaped(prefix)}*", count=1000):
            removed += int(await self._redis.delete(key))
        return removed

    async def _tried(self, operation: str, asked: Awaitable[T]) -> T | None:
        try:
            answer = await asked
        except ResponseError as error:  # it answers, but with a no: its memory is full, or it still loads its data
            self._failures.count("redis", operation)
            if not self._refusing:
                _log.warning("the shared cache refuses to %s: %s", operation, error)
            self._refusing = True
            return None
        except (redis.RedisError, OSError) as error:
            self._failures.count("redis", operation)
            if self._breaker.failed():
                _log.warning("going on without the shared cache: %s", error)
            return None
        if self._breaker.succeeded():
            _log.info("the shared cache is back")
        if operation == "put":
            self._refusing = False
        return answer


def _escaped(prefix: str) -> str:
    return "".join(f"\\{character}" if character in "*?[]\\" else character for character in prefix)
