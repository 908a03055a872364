"""The cache of one service, as its settings want it."""

from __future__ import annotations

from dataclasses import dataclass

from services.chassis.cache.disk import DiskCache
from services.chassis.cache.failures import CacheFailures
from services.chassis.cache.levels import Cache, MemoryCache, TieredCache
from services.chassis.cache.shared import RedisCache
from services.chassis.settings import CachingSettings


@dataclass(frozen=True)
class Levels:
    """Memory first, then Redis where there is one, then this machine's disk."""

    near: MemoryCache
    shared: RedisCache | None
    all: Cache
    fleeting: Cache
    """All but the disk, for what belongs to somebody."""


def make_levels(settings: CachingSettings, name: str, near: MemoryCache, failures: CacheFailures) -> Levels:
    """Return the cache of the service `name`."""
    shared = RedisCache(settings.redis_url, settings.cache_redis_ttl_s, failures) if settings.redis_url else None
    levels: list[Cache] = [near]
    if shared is not None:
        levels.append(shared)
    fleeting = TieredCache(levels)
    if settings.cache_disk_mb:
        file = settings.cache_dir / f"{name}.sqlite3"
        levels.append(DiskCache(file, settings.cache_disk_mb * 1024**2, settings.cache_ttl_s, failures))
    return Levels(near, shared, TieredCache(levels), fleeting)
