"""Prepares an avatar while somebody watches how far it is."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from functools import partial

from anyio import CapacityLimiter, to_thread

from services.avatar.engine import FrameSize, Stage
from services.avatar.library import AvatarLibrary
from services.avatar.lipsync import LipSync
from services.contract.errors import ServiceError, problem_of
from services.contract.video import Preparation


class _NobodyWatches(Exception):
    """The client left, so the work ends."""


class Preparing:
    """Avatars being prepared, one after the other."""

    def __init__(self, library: AvatarLibrary, lip_sync: LipSync) -> None:
        self._library = library
        self._lip_sync = lip_sync
        self._turn = CapacityLimiter(1)

    async def events(self, name: str, size: FrameSize) -> AsyncGenerator[Preparation, None]:
        """Yield how far preparing the avatar `name` is, and last that it is done or has failed.

        What fails before there is anything to tell is raised. Closing this ends the work.
        """
        began, told = time.monotonic(), _Latest(asyncio.get_running_loop())
        work = asyncio.create_task(to_thread.run_sync(partial(self._prepare, name, size, told), limiter=self._turn))
        work.add_done_callback(lambda _: told.wake())
        begun = False
        try:
            while not work.done():
                if (event := await told.next()) is not None:
                    begun = True
                    yield event
            if not begun:
                work.result()
            yield _ending(work, round(time.monotonic() - began, 3))
        finally:
            told.gone.set()
            await asyncio.wait([work])
            with suppress(_NobodyWatches, ServiceError):
                work.result()

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
        self._event: Preparation | None = None

    def tell(self, stage: Stage, done: int, total: int) -> None:
        """Told by the thread that works; raises when nobody watches any more."""
        if self.gone.is_set():
            raise _NobodyWatches
        self._loop.call_soon_threadsafe(self._keep, Preparation(stage=stage, done=done, total=total))

    def wake(self) -> None:
        """Have `next` return."""
        self._changed.set()

    async def next(self) -> Preparation | None:
        """Return what was told last, once there is something new; None when only woken."""
        await self._changed.wait()
        self._changed.clear()
        event, self._event = self._event, None
        return event

    def _keep(self, event: Preparation) -> None:
        self._event = event
        self._changed.set()


def _ending(work: asyncio.Task[int], elapsed_s: float) -> Preparation:
    error = work.exception()
    if isinstance(error, ServiceError):
        return Preparation(stage="failed", elapsed_s=elapsed_s, problem=problem_of(error))
    frames = work.result()
    return Preparation(stage="done", done=frames, total=frames, elapsed_s=elapsed_s)
