"""A bounded memory for things that take long to make."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from threading import Lock
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass
class _Entry(Generic[V]):
    making: Lock = field(default_factory=Lock)
    made: list[V] = field(default_factory=list)


class LruCache(Generic[K, V]):
    """Keeps the `size` values used last. Each is made once, however many threads ask for it at a time."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = Lock()
        self._entries: OrderedDict[K, _Entry[V]] = OrderedDict()

    def get(self, key: K) -> V | None:
        """Return the value of `key` if it is here."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or not entry.made:
                return None
            self._entries.move_to_end(key)
            return entry.made[0]

    def get_or_make(self, key: K, make: Callable[[], V]) -> V:
        """Return the value of `key`, made by `make` when it is not here. What `make` raises is not kept."""
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            self._entries.move_to_end(key)
            while len(self._entries) > self._size:
                self._entries.popitem(last=False)
        with entry.making:
            if not entry.made:
                entry.made.append(make())
            return entry.made[0]
