"""Asking a Redis that may be away for a moment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import redis.asyncio as redis

from services.contract.errors import Unavailable

T = TypeVar("T")

_PATIENCE_S = 5.0
_AGAIN_S = 0.2
_TIMEOUT_S = 2.0
"""Shorter than a lease: one answer that is lost does not lose it."""


def connect(url: str, blocks_s: float = 0.0) -> Any:
    """Return a client, whose calls may block for so long."""
    return redis.Redis.from_url(
        url, decode_responses=True, socket_timeout=_TIMEOUT_S + blocks_s, socket_connect_timeout=_TIMEOUT_S
    )


async def patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """Return what `ask` returns, asked again while Redis is away; raises `Unavailable`."""
    patient_until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return await ask()
        except (redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError, OSError) as error:
            if time.monotonic() > patient_until:
                reason = f"The store of jobs does not answer ({type(error).__name__})."
                raise Unavailable(reason, retry_after_s=5) from error
            await asyncio.sleep(_AGAIN_S)
        except redis.RedisError as error:
            raise Unavailable(f"The store of jobs refuses: {error}.", retry_after_s=5) from error
