"""What a cache is, the one in memory, and several of them one behind the other.

A cache may lose anything at any time; it never fails a request. Keys begin with what they belong
to (`tts:speech:`), so that everything of one kind can be dropped together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cachetools import TTLCache

_ENTRY_BYTES = 500
"""What a result takes in memory beside itself."""


class Cache(Protocol):
    """Keeps bytes."""

    async def get(self, key: str) -> bytes | None:
        """Return what was kept, or None."""

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return what was kept under each of `keys`."""

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

    def __init__(self, max_size: int, ttl_s: float, *, in_bytes: bool = False) -> None:
        """`max_size` is a number of results, or of bytes they may take together."""
        self._kept: TTLCache[str, bytes] = TTLCache(max_size, ttl_s, getsizeof=_weight_bytes if in_bytes else None)
        self.max_size = max_size

    @property
    def size(self) -> int:
        """How many results are kept."""
        return len(self._kept)

    async def get(self, key: str) -> bytes | None:
        """Return what was kept, or None."""
        return self._kept.get(key)

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return what was kept under each of `keys`."""
        return [self._kept.get(key) for key in keys]

    async def put(self, key: str, value: bytes) -> None:
        """Keep `value`; the least recently used makes room. What would fill the cache alone is not kept."""
        if self._kept.getsizeof(value) <= self.max_size:
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


def _weight_bytes(value: bytes) -> int:
    return len(value) + _ENTRY_BYTES


class TieredCache:
    """Fast caches before slower or shared ones."""

    def __init__(self, levels: Sequence[Cache]) -> None:
        """`levels` are asked in this order."""
        self._levels = tuple(levels)

    async def get(self, key: str) -> bytes | None:
        """Return what was kept, or None; what only a later level had is kept in the nearer ones from now on."""
        for number, level in enumerate(self._levels):
            if (kept := await level.get(key)) is not None:
                for nearer in self._levels[:number]:
                    await nearer.put(key, kept)
                return kept
        return None

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Return what was kept under each of `keys`; the nearest level that has it wins."""
        found: dict[str, bytes] = {}
        for level in self._levels:
            if missing := [key for key in keys if key not in found]:
                kept = await level.get_many(missing)
                found |= {key: value for key, value in zip(missing, kept, strict=True) if value is not None}
        return [found.get(key) for key in keys]

    async def put(self, key: str, value: bytes) -> None:
        """Keep `value` everywhere."""
        for level in self._levels:
            await level.put(key, value)

    async def remove(self, prefix: str) -> int:
        """Drop everything whose key begins with `prefix`; return how much that was where there was most."""
        return max([await level.remove(prefix) for level in self._levels], default=0)

    async def expire(self) -> int:
        """Drop what is out of date; return how much that was where there was most."""
        return max([await level.expire() for level in self._levels], default=0)

    async def close(self) -> None:
        """Let go of all."""
        for level in self._levels:
            await level.close()
