"""Jobs in the memory of one process: they end with it."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections import OrderedDict, defaultdict
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass

from cachetools import TTLCache

from services.contract.jobs import JobEventType
from services.gateway.jobs.queue import FILM_LINES, LEASE_S, MOST_DELIVERIES, Lease, Line
from services.gateway.jobs.record import Claim, JobEvent, JobRecord, Page
from services.gateway.jobs.store import NO_END, Added, Change, Room, Throughput
from services.gateway.jobs.terms import (
    FIRST_GUESS_S,
    HEARTBEAT_S,
    KEY_KEPT_S,
    MOST_EVENTS,
    REPORT_KEPT_S,
    WEIGHT_OF_LAST,
    event_number,
)

_log = logging.getLogger(__name__)

_MOST_KEYS = 100_000
_MOST_WORKERS = 1_000


class MemoryStore:
    """A `JobStore` for one process."""

    def __init__(self, queue: MemoryQueue) -> None:
        """The tasks of new jobs go into `queue`."""
        self._queue = queue
        self._records: OrderedDict[str, JobRecord] = OrderedDict()
        self._events: defaultdict[str, list[JobEvent]] = defaultdict(list)
        self._news: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._claims: TTLCache[tuple[str, str], Claim] = TTLCache(_MOST_KEYS, KEY_KEPT_S)
        self._numbers = itertools.count(1)
        self._slots: TTLCache[str, int] = TTLCache(_MOST_WORKERS, REPORT_KEPT_S)
        self._usual_s = FIRST_GUESS_S

    async def claim(self, owner: str, key: str, claim: Claim) -> Claim | None:
        """Let an idempotency key stand for a request."""
        if (known := self._claims.get((owner, key))) is None:
            self._claims[owner, key] = claim
        return known

    async def settle(self, owner: str, key: str, claim: Claim) -> None:
        """Say that the job of a key is taken in."""
        self._claims[owner, key] = claim.model_copy(update={"settled": True})

    async def unclaim(self, owner: str, key: str) -> None:
        """Take a key back."""
        self._claims.pop((owner, key), None)

    async def add(self, record: JobRecord, task: str, room: Room = NO_END) -> Added:
        """Keep a new job, and put its task in line."""
        still_open = [one.owner for one in self._records.values() if not one.over]
        if len(still_open) >= room.of_all:
            return "all_full"
        if still_open.count(record.owner) >= room.of_each:
            return "owner_full"
        self._records[record.id] = record
        self._tell(record, "video.queued")
        await self._queue.put(task, record.job.priority)
        return "added"

    async def get(self, job_id: str) -> JobRecord | None:
        """Return a job, or None."""
        return self._records.get(job_id)

    async def change(self, job_id: str, change: Change, event: JobEventType | None = None) -> JobRecord | None:
        """Make `change`, and tell `event`."""
        if (record := self._records.get(job_id)) is None or (changed := change(record)) is None:
            return None
        self._records[job_id] = changed
        if event is not None:
            self._tell(changed, event)
        return changed

    async def listed(self, owner: str, after: str, limit: int, *, newest_first: bool) -> Page:
        """Return a page of the owner's jobs."""
        own = [record for record in self._records.values() if record.owner == owner]
        if newest_first:
            own.reverse()
        ids = [record.id for record in own]
        begin = ids.index(after) + 1 if after in ids else 0
        return Page(records=own[begin : begin + limit], has_more=len(own) > begin + limit)

    async def remove(self, job_id: str) -> bool:
        """Forget a job and its events."""
        known = self._records.pop(job_id, None) is not None
        self._events.pop(job_id, None)
        self._wake(job_id)
        return known

    async def expired(self, now: float) -> Sequence[str]:
        """Return the jobs whose time is over."""
        times = ((record.id, record.job.expires_at) for record in self._records.values())
        return [job_id for job_id, expires_at in times if expires_at is not None and expires_at <= now]

    async def events(self, job_id: str, after: str) -> AsyncGenerator[JobEvent | None, None]:
        """Yield the job's events as they come."""
        seen = event_number(after)
        while True:
            # What is over before this look has no more events after it.
            record, news = self._records.get(job_id), self._news[job_id]
            for event in [event for event in self._events[job_id] if event_number(event.id) > seen]:
                seen = event_number(event.id)
                yield event
                if event.last:
                    return
            if record is None or record.over:
                self._news.pop(job_id, None)
                return
            try:
                await asyncio.wait_for(news.wait(), HEARTBEAT_S)
            except asyncio.TimeoutError:
                yield None

    async def report(self, worker: str, slots: int) -> None:
        """Say that a worker lives."""
        self._slots[worker] = slots

    async def note_duration(self, duration_s: float) -> None:
        """Say how long a film took."""
        self._usual_s += WEIGHT_OF_LAST * (duration_s - self._usual_s)

    async def throughput(self) -> Throughput:
        """Return how fast jobs are made."""
        return Throughput(tuple(self._slots), sum(self._slots.values()), self._usual_s)

    async def close(self) -> None:
        """Nothing is held open."""

    def _tell(self, record: JobRecord, event: JobEventType) -> None:
        events = self._events[record.id]
        told = JobEvent.of(record.job, event)
        events.append(told.model_copy(update={"id": f"{next(self._numbers)}-0"}))
        del events[:-MOST_EVENTS]
        self._wake(record.id)

    def _wake(self, job_id: str) -> None:
        if (news := self._news.pop(job_id, None)) is not None:
            news.set()


@dataclass
class _Waiting:
    """A task, and when it may be taken: in future, or, where a worker has it, when its lease ends."""

    task: str
    line: Line
    at: float
    holder: int = 0
    deliveries: int = 0


class MemoryQueue:
    """A `JobQueue` for one process."""

    def __init__(self, lease_s: float = LEASE_S, now: Callable[[], float] = time.monotonic) -> None:
        self._lease_s = lease_s
        self._now = now
        self._tasks: OrderedDict[str, _Waiting] = OrderedDict()
        self._numbers = itertools.count(1)

    async def put(self, task: str, line: Line, after_s: float = 0.0) -> None:
        """Add a task."""
        self._tasks[str(next(self._numbers))] = _Waiting(task, line, self._now() + after_s)

    async def take(self, lines: Sequence[Line] = FILM_LINES) -> Lease | None:
        """Return the next task."""
        free = [(handle, one) for handle, one in self._tasks.items() if one.at <= self._now() and one.line in lines]
        for handle, one in sorted(free, key=lambda item: (lines.index(item[1].line), not item[1].holder)):
            if one.deliveries < MOST_DELIVERIES:
                one.at, one.holder = self._now() + self._lease_s, next(self._numbers)
                one.deliveries += 1
                return Lease(one.task, one.line, f"{handle}/{one.holder}")
            _log.error("dropped: nobody who took %s was heard of again", one.task)
            del self._tasks[handle]
        return None

    async def renew(self, lease: Lease) -> bool:
        """Hold a task for longer."""
        if (one := self._held(lease)) is None:
            return False
        one.at = self._now() + self._lease_s
        return True

    async def finish(self, lease: Lease) -> None:
        """Take a task out of the queue."""
        if self._held(lease) is not None:
            del self._tasks[lease.handle.split("/")[0]]

    async def give_back(self, lease: Lease, after_s: float = 0.0) -> None:
        """Put a task back."""
        if self._held(lease) is not None:
            await self.finish(lease)
            await self.put(lease.task, lease.line, after_s)

    async def waiting(self) -> int:
        """Return how many films wait."""
        return sum(not one.holder and one.line in FILM_LINES for one in self._tasks.values())

    async def close(self) -> None:
        """Nothing is held open."""

    def _held(self, lease: Lease) -> _Waiting | None:
        handle, holder = lease.handle.split("/")
        one = self._tasks.get(handle)
        return one if one is not None and str(one.holder) == holder else None
