"""`python -m services.gateway.worker`: makes the films of jobs, beside as many other workers as there is work for.

With `--check` it says by its exit status whether a worker of this machine has been heard of within some seconds.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from contextlib import suppress

from prometheus_client import CollectorRegistry

from services.chassis.ending import end_tasks
from services.chassis.logs import configure_logging
from services.chassis.server import run_quickly, until_signal
from services.gateway.clients import AvatarClient, TtsClient
from services.gateway.jobs.office import open_office
from services.gateway.jobs.redis_store import RedisStore
from services.gateway.keeping import Keeping
from services.gateway.pipeline import FilmMaker, Pace
from services.gateway.settings import GatewaySettings

_log = logging.getLogger(__name__)


async def work(settings: GatewaySettings) -> None:
    """Work until SIGINT or SIGTERM. What is not finished within `drain_s` after that, another worker makes."""
    tts, avatar = TtsClient(settings.tts_url), AvatarClient(settings.avatar_url)
    keeping = Keeping(settings, CollectorRegistry())
    office = open_office(settings, FilmMaker(tts, avatar, Pace(), keeping.cache), avatar)
    working = asyncio.create_task(office.worker.run())
    stopping = asyncio.create_task(until_signal())
    _log.info("working on %d jobs at once", settings.jobs_at_once)
    try:
        await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
        office.worker.stop()
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.shield(working), settings.drain_s)
    finally:
        await end_tasks(working, stopping)
        await asyncio.gather(tts.aclose(), avatar.aclose(), office.close(), keeping.close())


async def is_alive(settings: GatewaySettings) -> bool:
    """Return whether a worker of this machine lives."""
    store = RedisStore(settings.store_url)
    try:
        alive = (await store.throughput()).workers
    finally:
        await store.close()
    return any(name.startswith(f"{socket.gethostname()}/") for name in alive)


def main(*arguments: str) -> None:
    """Work with the settings of the environment; without Redis there is nothing to work on."""
    settings = GatewaySettings()
    configure_logging(settings.log_level)
    if not settings.store_url:
        sys.exit("A worker takes jobs from Redis: set REDIS_URL. Without Redis, the gateway works on jobs itself.")
    if arguments == ("--check",):
        sys.exit(0 if asyncio.run(is_alive(settings)) else 1)
    run_quickly(work(settings))


if __name__ == "__main__":
    main(*sys.argv[1:])
