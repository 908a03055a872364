"""Everything about jobs, put together as the settings say: for the gateway, and for a worker."""

from __future__ import annotations

from dataclasses import dataclass

from services.gateway.clients import AvatarClient
from services.gateway.jobs.memory import MemoryQueue, MemoryStore
from services.gateway.jobs.queue import JobQueue
from services.gateway.jobs.redis_queue import RedisQueue
from services.gateway.jobs.redis_store import RedisStore
from services.gateway.jobs.runner import JobRunner, Limits
from services.gateway.jobs.shelf import FilmShelf
from services.gateway.jobs.store import JobStore
from services.gateway.jobs.webhooks import Webhooks
from services.gateway.jobs.worker import Worker
from services.gateway.outside import Outside, is_any
from services.gateway.pipeline import FilmMaker
from services.gateway.settings import GatewaySettings


@dataclass(frozen=True)
class JobOffice:
    """What jobs are kept in, and who works on them."""

    store: JobStore
    queue: JobQueue
    shelf: FilmShelf
    webhooks: Webhooks
    worker: Worker

    async def close(self) -> None:
        """Let go of connections."""
        await self.queue.close()
        await self.store.close()


def open_office(settings: GatewaySettings, films: FilmMaker, avatar: AvatarClient) -> JobOffice:
    """Return the office. Raises `ValueError` for settings that cannot work."""
    store, queue = _kept(settings)
    shelf = FilmShelf(settings.video_output_dir)
    outside = Outside(is_any, ("https", "http")) if settings.webhook_private else Outside()
    webhooks = Webhooks(store, outside, settings.webhook_secret)
    limits = Limits(
        tries=settings.jobs_tries,
        patience_s=settings.jobs_patience_s,
        kept_s=settings.jobs_kept_s,
        spoken_at_once=settings.parallel_sentences,
    )
    runner = JobRunner(films, avatar, store, queue, shelf, limits)
    worker = Worker(queue, store, runner, webhooks, shelf, settings.jobs_at_once)
    return JobOffice(store, queue, shelf, webhooks, worker)


def _kept(settings: GatewaySettings) -> tuple[JobStore, JobQueue]:
    if url := settings.store_url:
        return RedisStore(url), RedisQueue(url)
    if not settings.jobs_inside:
        raise ValueError("GATEWAY_JOBS_INSIDE=false leaves jobs to workers, who find them in Redis: set REDIS_URL.")
    queue = MemoryQueue()
    return MemoryStore(queue), queue
