"""What the avatar service keeps: rendered segments, and uploaded pictures for the other replicas.

A segment is kept without its place: its pictures follow from what is said, by whom and how that one moves.
Asked for in another place of a film, it gets the timestamps and the sound of that place; no picture is
painted or encoded again. What is made of an upload, or says something in a copied voice, never reaches the disk.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import AsyncGenerator, Sequence
from dataclasses import asdict, dataclass
from functools import partial

import av
from anyio import to_thread
from prometheus_client import CollectorRegistry

from services.avatar.engine import LipSyncEngine
from services.avatar.library import Identity
from services.avatar.mux import moved_segment
from services.avatar.segment import Segment
from services.avatar.settings import AvatarSettings
from services.chassis.cache.failures import CacheFailures
from services.chassis.cache.levels import Cache, MemoryCache
from services.chassis.cache.making import make_levels
from services.chassis.cache.once import Once
from services.chassis.cache.shared import RedisCache

_SEGMENT, _CLAIM, _UPLOAD = "video:segment:", "video:claim:", "avatar:upload:"
_log = logging.getLogger(__name__)

_FORMAT = 1
"""Goes up whenever segments are muxed or kept in another form."""

_PLACE_BYTES = 4
_UPLOAD_TTL_S = 24 * 3600


@dataclass(frozen=True)
class SegmentKey:
    """What a segment shows, and whether it may be kept on disk."""

    digest: str
    lasting: bool
    place: int
    """Its first frame, which the digest leaves out."""


class Keeping:
    """The caches of one app."""

    def __init__(self, settings: AvatarSettings, registry: CollectorRegistry) -> None:
        failures = CacheFailures(registry)
        near = MemoryCache(settings.cache_memory_mb * 1024**2, settings.cache_ttl_s, in_bytes=True)
        self._levels = make_levels(settings, "avatar", near, failures)
        self._lasting = self._levels.all
        self._uploads = RedisCache(settings.redis_url, _UPLOAD_TTL_S, failures) if settings.redis_url else None
        self._once: Once[bytes] = Once(self._levels.shared, _CLAIM)
        self.enabled = settings.cache_enable

    def key(self, engine: LipSyncEngine, avatar: Identity, segment: Segment) -> SegmentKey:
        """Return the key of a segment: everything that changes its pictures goes into it. Blocking."""
        parts = {
            "format": _FORMAT,
            "engine": engine.name,
            "revision": engine.revision,
            "size": [segment.size.width, segment.size.height],
            "fps": str(segment.fps),
            "phase": segment.phase,
            "motion": asdict(segment.motion),
            "frame_skip": segment.frame_skip,
            "background": segment.background,
            "marks": [mark.model_dump() for mark in segment.speech.marks],
        }
        digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
        digest.update(segment.speech.pcm)
        lasting = avatar.lasting and segment.lasting
        return SegmentKey(f"{avatar.digest}:{digest.hexdigest()}", lasting, segment.first_frame)

    async def segment(self, key: SegmentKey, segment: Segment) -> bytes | None:
        """Return a kept segment in its place, or None."""
        kept = await self._cache(key).get(_SEGMENT + key.digest)
        if kept is None:
            return None
        place, film = int.from_bytes(kept[:_PLACE_BYTES], "big"), kept[_PLACE_BYTES:]
        if place == key.place:
            return film
        try:
            return await to_thread.run_sync(moved_segment, film, segment)
        except (av.FFmpegError, ValueError) as error:  # ValueError: of boxes
            _log.warning("a kept segment is damaged and rendered anew: %s", error)
            return None

    def join(self, key: SegmentKey) -> AsyncGenerator[bytes, None] | None:
        """Return the segment if it is being rendered right now."""
        return self._once.join(_flight(key))

    def render_once(
        self, key: SegmentKey, segment: Segment, made: AsyncGenerator[bytes, None]
    ) -> AsyncGenerator[bytes, None]:
        """Yield `made` and keep it once it is whole; others may join, and other replicas wait for it."""
        return self._once.make(
            _flight(key), made, partial(self.segment, key, segment), partial(self._keep_segment, key)
        )

    async def forget(self, digest: str) -> None:
        """Drop everything that shows the avatar with this digest."""
        await self._lasting.remove(f"{_SEGMENT}{digest}:")

    async def keep_upload(self, name: str, data: bytes) -> None:
        """Let other replicas know an uploaded picture, for a day."""
        if self._uploads is not None:
            await self._uploads.put(_UPLOAD + name, data)

    async def upload(self, name: str) -> bytes | None:
        """Return a picture that was uploaded to another replica."""
        return None if self._uploads is None else await self._uploads.get(_UPLOAD + name)

    async def close(self) -> None:
        """Let go of connections and files."""
        await self._lasting.close()
        if self._uploads is not None:
            await self._uploads.close()

    async def _keep_segment(self, key: SegmentKey, pieces: Sequence[bytes]) -> None:
        kept = b"".join([key.place.to_bytes(_PLACE_BYTES, "big"), *pieces])
        await self._cache(key).put(_SEGMENT + key.digest, kept)

    def _cache(self, key: SegmentKey) -> Cache:
        return self._lasting if key.lasting else self._levels.fleeting


def _flight(key: SegmentKey) -> str:
    return f"{key.digest}:{key.place}"
