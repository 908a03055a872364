"""How long generators have been at their current step: a device that hangs ends none."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")
_END: Any = object()


class Steps:
    """The steps that are being made, in any thread."""

    def __init__(self) -> None:
        self._began: dict[object, float] = {}

    def of(self, items: Generator[T, None, None]) -> Generator[T, None, None]:
        """Yield what `items` yields; each of its steps is timed, the last one of closing it too."""
        try:
            while (item := self._timed(partial(next, items, _END))) is not _END:
                yield item
        finally:
            self._timed(items.close)

    @property
    def longest_s(self) -> float:
        """How long the oldest step has lasted."""
        return max((time.monotonic() - began for began in list(self._began.values())), default=0.0)

    def _timed(self, step: Callable[[], T]) -> T:
        name = object()
        self._began[name] = time.monotonic()
        try:
            return step()
        finally:
            del self._began[name]
