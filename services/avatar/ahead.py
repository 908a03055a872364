"""Runs a generator in a thread of its own, a few items ahead of its reader."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")
_END: Any = object()


def run_ahead(items: Generator[T, None, None], most_ahead: int) -> Generator[T, None, None]:
    """Yield what `items` yields, made up to `most_ahead` items early.

    What `items` raises is raised here, in its place. Closing this closes `items` at its next yield
    and returns when that is done.
    """
    ready: SimpleQueue[T] = SimpleQueue()
    room = threading.Semaphore(most_ahead)
    reader_left = threading.Event()

    def produce() -> None:
        try:
            with closing(items):
                while room.acquire() and not reader_left.is_set():
                    item = next(items, _END)
                    if item is _END:
                        return
                    ready.put(item)
        finally:
            ready.put(_END)

    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as thread:
        work = thread.submit(contextvars.copy_context().run, produce)
        try:
            while (item := ready.get()) is not _END:
                room.release()
                yield item
            work.result()
        finally:
            reader_left.set()
            room.release()
