"""Single flight across replicas: who begins says so in Redis, and the others wait for the result."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from services.chassis.cache.shared import RedisCache
from services.chassis.ending import end_tasks

_CLAIM_S = 2.5
_RENEWED_EVERY_S = 0.8
_LOOKED_EVERY_S = 0.05
_PATIENCE_S = 120.0


@asynccontextmanager
async def claimed(shared: RedisCache | None, key: str) -> AsyncGenerator[bool, None]:
    """Hold the claim on `key` until the block ends; give whether somebody else held it before.

    A claim whose holder died is free after some seconds. Without Redis everybody holds it at once.
    """
    if shared is None:
        yield False
        return
    waited = False
    patient_until = time.monotonic() + _PATIENCE_S
    while not await shared.claim(key, _CLAIM_S) and time.monotonic() < patient_until:
        waited = True
        await asyncio.sleep(_LOOKED_EVERY_S)
    renewing = asyncio.create_task(_renew(shared, key))
    try:
        yield waited
    finally:
        await end_tasks(renewing)
        await shared.release(key)


async def _renew(shared: RedisCache, key: str) -> None:
    while True:
        await asyncio.sleep(_RENEWED_EVERY_S)
        await shared.renew(key, _CLAIM_S)
