"""Takes tasks from the queue and does them, some at once, until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import socket
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from services.chassis.ending import end_tasks
from services.contract.errors import ServiceError, Unavailable
from services.gateway.jobs.queue import FILM_LINES, RENEWED_EVERY_S, JobQueue, Lease, Line
from services.gateway.jobs.runner import JobRunner
from services.gateway.jobs.shelf import FilmShelf
from services.gateway.jobs.store import JobStore
from services.gateway.jobs.sweeping import sweep
from services.gateway.jobs.tasks import WebhookTask, read_task
from services.gateway.jobs.webhooks import Webhooks

_log = logging.getLogger(__name__)

_LOOKED_EVERY_S = 0.2
_AWAY_S = 1.0
_REPORTED_EVERY_S = 3.0
_SWEPT_EVERY_S = 30.0


class Worker:
    """Makes `slots` films at once, and sends webhooks beside. What it is stopped in the middle of goes back."""

    def __init__(
        self, queue: JobQueue, store: JobStore, runner: JobRunner, webhooks: Webhooks, shelf: FilmShelf, slots: int
    ) -> None:
        self._queue = queue
        self._store = store
        self._runner = runner
        self._webhooks = webhooks
        self._shelf = shelf
        self._slots = slots
        self._name = f"{socket.gethostname()}/{uuid.uuid4().hex[:8]}"
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Take no more tasks. What is being worked on goes on until `run` is cancelled."""
        self._stopping.set()

    async def run(self) -> None:
        """Work until stopped and done. Cancelled, it puts back what it works on."""
        around = [
            asyncio.create_task(self._repeatedly(self._report, _REPORTED_EVERY_S)),
            asyncio.create_task(self._repeatedly(self._sweep, _SWEPT_EVERY_S)),
        ]
        slots = [asyncio.create_task(self._work(FILM_LINES)) for _ in range(self._slots)]
        slots.append(asyncio.create_task(self._work(("webhooks",))))
        try:
            await asyncio.gather(*slots)
        finally:
            await end_tasks(*slots, *around)

    async def _work(self, lines: Sequence[Line]) -> None:
        away = False
        while not self._stopping.is_set():
            try:
                lease = await self._queue.take(lines)
                if lease is not None:
                    await self._hold(lease)
                if away:
                    _log.info("the queue of jobs is back")
                away = False
            except Unavailable as error:
                if not away:
                    _log.warning("no work: %s", error.detail)
                away, lease = True, None
            except Exception:  # noqa: BLE001 the outermost boundary of a task: a bug must not end the worker
                _log.exception("a task broke")
                lease = None
            if lease is None:
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), _AWAY_S if away else _LOOKED_EVERY_S)

    async def _hold(self, lease: Lease) -> None:
        """Do a task while its lease is renewed; without the lease it is somebody else's."""
        lost = asyncio.Event()
        doing = asyncio.create_task(self._do(lease, lost))
        renewing = asyncio.create_task(self._renew(lease, doing, lost))
        try:
            await asyncio.wait([doing])
        finally:
            cancelled_by_us = not doing.done()
            await end_tasks(doing, renewing)
            if cancelled_by_us:
                await self._queue.give_back(lease)
        if not doing.cancelled():
            doing.result()

    async def _do(self, lease: Lease, lost: asyncio.Event) -> None:
        again_after_s = await self._done(lease, lost)
        if again_after_s is None:
            await self._queue.finish(lease)
        else:
            await self._queue.give_back(lease, again_after_s)

    async def _done(self, lease: Lease, lost: asyncio.Event) -> float | None:
        """Do a task; return None when nothing is left of it, or after how many seconds to do it again."""
        try:
            task = read_task(lease.task)
        except ValueError as error:
            _log.error("left out: %s", error)
            return None
        if isinstance(task, WebhookTask):
            await self._send(task)
            return None
        return await self._runner.run(task.job_id, lost)

    async def _send(self, task: WebhookTask) -> None:
        if (again := await self._webhooks.send(task)) is not None:
            following, after_s = again
            await self._queue.put(following, "webhooks", after_s)

    async def _renew(self, lease: Lease, doing: asyncio.Task[None], lost: asyncio.Event) -> None:
        """Renew a lease until cancelled; end what is done under it when it is lost."""
        while True:
            await asyncio.sleep(RENEWED_EVERY_S)
            with suppress(Unavailable):
                if not await self._queue.renew(lease):
                    _log.warning("another worker has taken %s", lease.task)
                    lost.set()
                    doing.cancel()
                    return

    async def _report(self) -> None:
        await self._store.report(self._name, self._slots)

    async def _sweep(self) -> None:
        await sweep(self._store, self._shelf)

    async def _repeatedly(self, work: Callable[[], Awaitable[None]], every_s: float) -> None:
        while True:
            try:
                await work()
            except ServiceError as error:
                _log.info("later: %s", error.detail)
            except Exception:  # noqa: BLE001 the outermost boundary of upkeep, which must go on
                _log.exception("upkeep broke")
            await asyncio.sleep(every_s)
