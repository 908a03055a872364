"""Long work on avatars, for somebody who may leave, and who may watch how far it is."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import TypeVar

from anyio import to_thread

from services.avatar.engine import FrameSize, Stage, Tell
from services.avatar.library import AvatarLibrary
from services.avatar.lipsync import LipSync
from services.contract.errors import ServiceError, problem_of
from services.contract.video import Preparation

_log = logging.getLogger(__name__)

T = TypeVar("T")

_SAID_AGAIN_S = 10.0
"""Somebody who watches hears something at least so often, or would take us for dead."""


class _NobodyWatches(Exception):
    """The client left, so the work ends."""


async def unless_left(work: Callable[[Tell], T]) -> T:
    """Return what `work`, which is told where to tell, does in a thread; when this is cancelled it ends there."""
    gone = threading.Event()

    def tell(stage: Stage, done: int, total: int) -> None:
        if gone.is_set():
            raise _NobodyWatches

    task = asyncio.ensure_future(to_thread.run_sync(work, tell))
    try:
        return await asyncio.shield(task)
    finally:
        gone.set()
        with suppress(_NobodyWatches, ServiceError):
            await task


class Preparing:
    """Avatars being prepared, one after the other."""

    def __init__(self, library: AvatarLibrary, lip_sync: LipSync) -> None:
        self._library = library
        self._lip_sync = lip_sync
        self._turn = asyncio.Lock()

    async def events(self, name: str, size: FrameSize) -> AsyncGenerator[Preparation, None]:
        """Yield how far preparing the avatar `name` is, and last that it is done or has failed.

        Raises `NotFound` and `InvalidRequest` before the first event. Closing this ends the work.
        """
        await to_thread.run_sync(self._library.identify, name)
        _ = self._lip_sync.engine
        began, told = time.monotonic(), _Latest(asyncio.get_running_loop())
        work = asyncio.create_task(self._work(name, size, told))
        work.add_done_callback(lambda _: told.wake())
        try:
            while not work.done():
                event = await told.next()
                if not work.done():
                    yield event
            yield _ending(work, round(time.monotonic() - began, 3))
        finally:
            told.gone.set()
            work.cancel()
            await asyncio.wait([work])

    def forget(self, digest: str) -> None:
        """Remove what was prepared of the avatar with this digest. Blocking."""
        try:
            self._lip_sync.engine.forget(digest)
        except ServiceError as error:
            _log.warning("what was prepared of a removed avatar stays: %s", error.detail)

    async def _work(self, name: str, size: FrameSize, told: _Latest) -> int:
        async with self._turn:
            return await to_thread.run_sync(self._prepare, name, size, told)

    def _prepare(self, name: str, size: FrameSize, told: _Latest) -> int:
        avatar = self._library.find(name, told.tell)
        track = self._lip_sync.prepare(avatar.source, size, told.tell)
        return len(track) if hasattr(track, "__len__") else 1


class _Latest:
    """The latest that is told by a thread, for one task."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.gone = threading.Event()
        self._loop = loop
        self._changed = asyncio.Event()
        self._changed.set()
        self._event = Preparation(stage="waiting")

    def tell(self, stage: Stage, done: int, total: int) -> None:
        """Told by the thread that works; raises when nobody watches any more."""
        if self.gone.is_set():
            raise _NobodyWatches
        self._loop.call_soon_threadsafe(self._keep, Preparation(stage=stage, done=done, total=total))

    def wake(self) -> None:
        """Have `next` return."""
        self._changed.set()

    async def next(self) -> Preparation:
        """Return what was told last, once there is something new or much time has passed."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._changed.wait(), _SAID_AGAIN_S)
        self._changed.clear()
        return self._event

    def _keep(self, event: Preparation) -> None:
        self._event = event
        self._changed.set()


def _ending(work: asyncio.Task[int], elapsed_s: float) -> Preparation:
    error = work.exception()
    if isinstance(error, ServiceError):
        return Preparation(stage="failed", elapsed_s=elapsed_s, problem=problem_of(error))
    frames = work.result()
    return Preparation(stage="done", done=frames, total=frames, elapsed_s=elapsed_s)
