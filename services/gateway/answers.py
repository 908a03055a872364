"""Whole answers that were given before: an equal request is answered without asking anybody."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from services.chassis.cache.levels import Cache
from services.contract.headers import CACHE_HEADER

_FORMAT = 1
_LARGEST_BYTES = 16 * 1024**2
_LONGEST_HEADER_BYTES = 64 * 1024


@dataclass(frozen=True)
class Answer:
    """A body, and the headers that tell how it was made."""

    headers: Mapping[str, str]
    body: bytes


class Answers:
    """Keeps answers of one kind, and counts how often that spared work. Without a `cache` it keeps nothing."""

    def __init__(self, cache: Cache | None, prefix: str) -> None:
        """Their keys begin with `prefix`."""
        self._cache = cache
        self._prefix = prefix
        self.hits = 0

    def key(self, request: Mapping[str, object]) -> str:
        """Return the key of a request, which must name everything that changes its answer."""
        told = json.dumps([_FORMAT, request], sort_keys=True)
        return self._prefix + hashlib.sha256(told.encode()).hexdigest()

    async def get(self, key: str) -> Answer | None:
        """Return a kept answer, or None."""
        kept = None if self._cache is None else await self._cache.get(key)
        if kept is None or (end := kept.find(b"\n", 0, _LONGEST_HEADER_BYTES)) < 0:
            return None
        self.hits += 1
        return Answer(json.loads(kept[:end]) | {CACHE_HEADER: "hit"}, kept[end + 1 :])

    async def kept(
        self, key: str, headers: Mapping[str, str], pieces: AsyncGenerator[bytes, None], good: Callable[[], bool]
    ) -> AsyncGenerator[bytes, None]:
        """Yield `pieces`, and keep them all once the last one was taken, if they are `good`."""
        body: list[bytes] = []
        size_bytes = 0
        async with aclosing(pieces):
            async for piece in pieces:
                size_bytes += len(piece)
                if size_bytes <= _LARGEST_BYTES:
                    body.append(piece)
                yield piece
        if self._cache is not None and size_bytes <= _LARGEST_BYTES and good():
            await self._cache.put(key, b"".join([json.dumps(dict(headers)).encode(), b"\n", *body]))

    async def clear(self) -> int:
        """Drop all answers, and return how many there were."""
        return 0 if self._cache is None else await self._cache.remove(self._prefix)
