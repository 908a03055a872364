"""What the gateway keeps: how avatars moved in films, and whole answers."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from services.chassis.cache.failures import CacheFailures
from services.chassis.cache.levels import Cache, MemoryCache
from services.chassis.cache.making import make_levels
from services.gateway.answers import Answers
from services.gateway.settings import GatewaySettings


class Keeping:
    """The cache of one gateway or worker."""

    def __init__(self, settings: GatewaySettings, registry: CollectorRegistry) -> None:
        near = MemoryCache(settings.cache_memory_mb * 1024**2, settings.cache_ttl_s, in_bytes=True)
        levels = make_levels(settings, "gateway", near, CacheFailures(registry))
        self._all = levels.all
        self.cache: Cache | None = levels.all if settings.cache_enable else None
        # What one gateway drops, no other may still have in its memory.
        shared = (levels.shared or levels.all) if settings.cache_enable else None
        self.spoken = Answers(shared, "tts:answer:")
        self.films = Answers(shared, "video:film:")

    async def close(self) -> None:
        """Let go of connections and files."""
        await self._all.close()
