"""Counts what a cache could not do: the only trace of it that a request leaves."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter


class CacheFailures:
    """The counter of one app."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._counter = Counter(
            "talkie_cache_failures",
            "What a level of the cache failed to do; requests went on without it.",
            ["level", "operation"],
            registry=registry,
        )

    def count(self, level: str, operation: str) -> None:
        """Count one."""
        self._counter.labels(level, operation).inc()
