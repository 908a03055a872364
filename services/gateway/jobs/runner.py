"""Makes the film of one job: as often as it takes, and never twice in the result."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

from anyio import to_thread

from services.contract.errors import AtCapacity, ServiceError, Unavailable
from services.contract.jobs import JobError, JobStatus
from services.gateway.calling import PATIENCE_S
from services.gateway.clients import AvatarClient
from services.gateway.finish import faststart, gather
from services.gateway.jobs.queue import JobQueue
from services.gateway.jobs.record import JobRecord
from services.gateway.jobs.shelf import FilmShelf
from services.gateway.jobs.store import JobStore
from services.gateway.jobs.tasks import webhook_task
from services.gateway.laying import SentenceSpoken
from services.gateway.pipeline import FilmEvent, FilmMaker, Fragment, Pace, SegmentDone

_log = logging.getLogger(__name__)

_TOLD_EVERY_S = 0.4
_SEGMENTS_PER_REPLICA = 3
"""Rendered or waiting at each replica: sentences are of different lengths, and no replica should wait for another."""


@dataclass(frozen=True)
class Limits:
    """How often and how long a job is tried, and how long its film stays."""

    tries: int
    patience_s: float
    """How long a job waits for services that are away."""
    kept_s: float
    spoken_at_once: int


class CalledOff(Exception):
    """Nobody wants the film any more."""


class JobRunner:
    """What the workers of one process do with a job."""

    def __init__(
        self,
        films: FilmMaker,
        avatar: AvatarClient,
        store: JobStore,
        queue: JobQueue,
        shelf: FilmShelf,
        limits: Limits,
    ) -> None:
        self._films = films
        self._avatar = avatar
        self._store = store
        self._queue = queue
        self._shelf = shelf
        self._limits = limits

    async def run(self, job_id: str, lost: asyncio.Event) -> float | None:
        """Make the film; return None when nothing is left to do, or after how many seconds to try again.

        When `lost` is set, another worker makes it, and the job is no longer this one's to change.
        """
        record = await self._store.change(job_id, self._begun, "video.in_progress")
        if record is None:
            await self._give_up(job_id)
            return None
        try:
            await self._make(record)
        except CalledOff:
            if await self._store.get(job_id) is None:  # else another worker was quicker, and the film is its
                await to_thread.run_sync(self._shelf.remove, job_id)
        except asyncio.CancelledError:  # the worker ends, which is not the job's fault
            if not lost.is_set():
                await self._store.change(job_id, _put_off, "video.queued")
            raise
        except ServiceError as error:
            return await self._failed(record, error)
        except Exception as error:  # noqa: BLE001 the outermost boundary of a job: a bug must not end the worker
            _log.exception("%s broke", job_id)
            return await self._failed(record, ServiceError(f"Something broke on our side: {error!r}"), again=True)
        return None

    async def _make(self, record: JobRecord) -> None:
        began = time.monotonic()
        progress = _Progress(record, self._store, began)
        film = self._films.film(record.script, await self._pace(), patience_s=PATIENCE_S)
        async with aclosing(_told(film, progress)) as fragments:
            fragmented = await gather(fragments)
        finished = await to_thread.run_sync(faststart, fragmented)
        await to_thread.run_sync(self._shelf.keep, record.id, finished)
        if not await self._complete(record, progress):
            # Another worker was quicker, and made the same film; or it was called off.
            if await self._store.get(record.id) is None:
                raise CalledOff
            return
        await self._store.note_duration(time.monotonic() - began)

    async def _complete(self, record: JobRecord, progress: _Progress) -> bool:
        """Say that the film is there; a store that is away is waited for. Return whether that was news."""
        patient_until = time.monotonic() + self._limits.patience_s
        while True:
            try:
                await self._announce(record, "completed")
                change = partial(self._completed, progress)
                return await self._store.change(record.id, change, "video.completed") is not None
            except Unavailable:
                if time.monotonic() > patient_until:
                    raise

    async def _pace(self) -> Pace:
        replicas = len(await self._avatar.replicas.all())
        at_once = max(2, _SEGMENTS_PER_REPLICA * replicas)
        return Pace(spoken_at_once=self._limits.spoken_at_once, look_ahead=at_once, rendered_at_once=at_once)

    async def _failed(self, record: JobRecord, error: ServiceError, *, again: bool = False) -> float | None:
        tries = record.job.tries
        if error.code in (Unavailable.code, AtCapacity.code):
            put_off = await self._store.change(record.id, _put_off_for_services, "video.queued")
            if put_off is None or time.time() < (put_off.put_off_since or 0.0) + self._limits.patience_s:
                return float(error.retry_after_s or 2) if put_off else None
        elif (error.retryable or again) and tries < self._limits.tries:
            await self._store.change(record.id, lambda one: _waiting(one, error), "video.queued")
            return float(2**tries)
        _log.warning("%s failed: %s", record.id, error.detail)
        await self._end(record, JobError(code=error.code, message=error.detail))
        return None

    async def _give_up(self, job_id: str) -> None:
        """End a job whose workers died of it as often as is allowed; one that is over or gone stays so."""
        record = await self._store.get(job_id)
        if record is not None and not record.over:
            reason = record.job.error.message if record.job.error else "the worker died each time"
            _log.error("%s is given up after %d tries: %s", job_id, record.job.tries, reason)
            message = f"It was tried {record.job.tries} times; the last time: {reason}."
            await self._end(record, JobError(code="gave_up", message=message))

    async def _end(self, record: JobRecord, error: JobError) -> None:
        await self._announce(record, "failed")

        def ended(one: JobRecord) -> JobRecord | None:
            if one.over:
                return None
            now = int(time.time())
            expires_at = now + round(self._limits.kept_s)
            return one.updated(status="failed", error=error, completed_at=now, expires_at=expires_at, eta_seconds=None)

        await self._store.change(record.id, ended, "video.failed")

    async def _announce(self, record: JobRecord, status: JobStatus) -> None:
        """Have the webhook sent once the job is over: put into the queue before, it cannot be forgotten."""
        if record.webhook_url:
            await self._queue.put(webhook_task(record.id, status), "webhooks")

    def _begun(self, record: JobRecord) -> JobRecord | None:
        if record.over or record.job.tries >= self._limits.tries:
            return None
        started_at = record.job.started_at or int(time.time())
        return record.updated(status="in_progress", tries=record.job.tries + 1, started_at=started_at)

    def _completed(self, progress: _Progress, record: JobRecord) -> JobRecord | None:
        if record.over:
            return None
        now = int(time.time())
        return record.updated(
            status="completed",
            progress=100,
            completed_at=now,
            expires_at=None if record.persist else now + round(self._limits.kept_s),
            error=None,
            eta_seconds=None,
            segments_done=progress.done,
            segments_total=progress.done,
            seconds=progress.seconds,
        )


class _Progress:
    """How far a film is, told to its record now and then."""

    def __init__(self, record: JobRecord, store: JobStore, began: float) -> None:
        self._id = record.id
        self._fps = record.script.fps
        self._store = store
        self._began = began
        self._told_at = float("-inf")
        self._frames = 0
        self.done = 0

    @property
    def seconds(self) -> str:
        """Length of what is made."""
        return f"{float(self._frames / self._fps):g}"

    async def go_on(self, done: SegmentDone) -> None:
        """Say that a segment is made; raises `CalledOff` when nobody wants it any more."""
        self.done, self._frames = done.index + 1, self._frames + done.frames
        if time.monotonic() - self._told_at < _TOLD_EVERY_S:
            return
        self._told_at = time.monotonic()
        elapsed_s = self._told_at - self._began
        fields: dict[str, object] = {
            "progress": min(99, 100 * self.done // done.total),
            "segments_done": self.done,
            "segments_total": done.total,
            "eta_seconds": round(elapsed_s / self.done * (done.total - self.done), 1),
            "seconds": self.seconds,
        }
        try:
            told = await self._store.change(self._id, partial(_going_on, fields), "video.progress")
        except Unavailable as error:  # the film does not wait for who wants to know how far it is
            _log.info("%s goes on untold: %s", self._id, error.detail)
            return
        if told is None:
            raise CalledOff


async def _told(film: AsyncGenerator[FilmEvent, None], progress: _Progress) -> AsyncGenerator[bytes, None]:
    """Yield the bytes of a film, and tell how far it is."""
    async with aclosing(film):
        async for event in film:
            if isinstance(event, Fragment):
                yield event.data
            elif isinstance(event, SegmentDone):
                await progress.go_on(event)
            else:
                assert isinstance(event, SentenceSpoken)


def _going_on(fields: dict[str, object], record: JobRecord) -> JobRecord | None:
    """Return the record further on; what another worker had done already is not undone."""
    if record.over:
        return None
    if int(str(fields["segments_done"])) < record.job.segments_done:
        fields = {"eta_seconds": fields["eta_seconds"]}
    return record.updated(**fields).model_copy(update={"put_off_since": None})


def _put_off_for_services(record: JobRecord) -> JobRecord | None:
    """Return the record put off, and since when."""
    if (put_off := _put_off(record)) is None:
        return None
    return put_off.model_copy(update={"put_off_since": record.put_off_since or time.time()})


def _put_off(record: JobRecord) -> JobRecord | None:
    """Return the record as if it had not been tried."""
    return None if record.over else record.updated(status="queued", tries=max(0, record.job.tries - 1))


def _waiting(record: JobRecord, error: ServiceError) -> JobRecord | None:
    told = JobError(code=error.code, message=error.detail)
    return None if record.over else record.updated(status="queued", error=told)
