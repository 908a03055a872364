"""The engine at work: avatars prepared once, segments rendered in a lane."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import dataclass
from functools import partial
from typing import Any

from anyio import to_thread

from services.avatar.artwork import Avatar, before, digest_before
from services.avatar.engine import AvatarSource, FrameSize, LipSyncEngine, Tell, tell_nobody
from services.avatar.keeping import Keeping
from services.avatar.library import Identity
from services.avatar.lru import LruCache
from services.avatar.mux import mux_segment
from services.avatar.registry import ENGINES
from services.avatar.segment import Segment
from services.avatar.settings import AvatarSettings
from services.avatar.steps import Steps
from services.chassis.lane import EngineLane
from services.contract.errors import EngineFailed, ServiceError, Unavailable

_log = logging.getLogger(__name__)

_STUCK_S = 300.0
"""No fragment of film takes so long, on whatever it is rendered."""

_MOST_URGENT = 256
"""Urgent requests that may wait: they are short, and films stand still for those that are refused."""


@dataclass(frozen=True)
class Actor:
    """Who is animated: told from others at once, found where the work is done."""

    identity: Identity
    find: Callable[[], Avatar]


class LipSync:
    """The engine with its lane and its prepared avatars: what the requests of one app share."""

    def __init__(self, settings: AvatarSettings, engine: LipSyncEngine | None, keeping: Keeping) -> None:
        self._settings = settings
        self._engine = engine
        self._keeping = keeping
        self._failure: ServiceError = Unavailable("The lip-sync engine is still loading.", retry_after_s=2)
        self._tracks: LruCache[tuple[str, FrameSize], Any] = LruCache(settings.tracks_kept)
        self._steps = Steps()
        self._urgent_lane = EngineLane("urgent lipsync", slots=settings.lanes, max_waiting=_MOST_URGENT)
        self.lane = EngineLane(
            "lipsync", slots=settings.lanes, max_waiting=settings.max_waiting, yields_to=self._urgent_lane
        )

    @property
    def engine(self) -> LipSyncEngine:
        """The engine; raises the `ServiceError` that says why there is none."""
        if self._engine is None:
            raise self._failure
        return self._engine

    async def load(self) -> None:
        """Load the engine if none was given; what hinders it is logged, and told to whoever asks for it."""
        if self._engine is not None:
            return
        try:
            self._engine = await to_thread.run_sync(ENGINES[self._settings.engine], self._settings)
        except ServiceError as error:
            self._failure = error
            _log.error("The %s engine is not ready: %s", self._settings.engine, error.detail)

    def prepare(self, source: AvatarSource, size: FrameSize, tell: Tell = tell_nobody) -> Any:
        """Return `source` prepared for frames of `size`; it is kept for the renders to come. Blocking."""
        return self._tracks.get_or_make((source.digest, size), partial(self.engine.prepare, source, size, tell))

    async def check(self) -> None:
        """Return when the engine can work; raise the `ServiceError` that says why not."""
        _ = self.engine
        await self.check_alive()

    async def check_alive(self) -> None:
        """Return unless the engine is stuck; preparing an avatar, and loading, may take their time."""
        if self._steps.longest_s > _STUCK_S:
            raise EngineFailed("The lip-sync engine is stuck; the avatar service has to be started again.")

    async def film(
        self, actor: Actor, segment: Segment, *, use_cache: bool = True, urgent: bool = False
    ) -> tuple[AsyncGenerator[bytes, None], bool]:
        """Return the segment as fragmented MP4, made as it is read, and whether somebody else asked for it first.

        What is `urgent` has lanes of its own, unless the avatar has to be prepared for it: that may take long.
        """
        prepared = (digest_before(actor.identity.digest, segment.background), segment.size)
        lane = self._urgent_lane if urgent and self._tracks.get(prepared) is not None else self.lane
        rendered = lane.stream(partial(self._render, actor, segment))
        if not (use_cache and self._keeping.enabled):
            return rendered, False
        key = await to_thread.run_sync(self._keeping.key, self.engine, actor.identity, segment)
        if (kept := await self._keeping.segment(key, segment)) is not None:
            return _once(kept), True
        if (joined := self._keeping.join(key)) is not None:
            return joined, True
        return self._keeping.render_once(key, segment, rendered), False

    async def close(self) -> None:
        """Let go of the engine."""
        await self.lane.aclose()
        await self._urgent_lane.aclose()
        if self._engine is not None:
            await to_thread.run_sync(self._engine.close)

    def _render(self, actor: Actor, segment: Segment) -> Generator[bytes, None, None]:
        # In the lane's thread, so that finding and preparing an avatar count as the work they are.
        source = actor.find().source
        if source.digest != actor.identity.digest:  # what is rendered would be kept as the old one's
            raise Unavailable("The avatar was changed in this moment; try again.", retry_after_s=1)
        track = self.prepare(before(source, segment.background), segment.size)
        frames = self.engine.render(
            track, segment.speech, segment.first_frame, segment.fps, segment.frame_skip, segment.motion
        )
        yield from self._steps.of(mux_segment(frames, segment))


async def _once(film: bytes) -> AsyncGenerator[bytes, None]:
    yield film
