"""Jobs in Redis: shared by all gateways and workers, and alive when all of them have died.

talkie:job:<id>           the record, JSON
talkie:job:<id>:events    a stream: what happened to it
talkie:jobs:of:<owner>    a sorted set: the owner's jobs by age
talkie:jobs:open:<owner>  a set: those that are not over
talkie:jobs:expiring      a sorted set: when each film goes
talkie:jobs:workers       a sorted set: who lives, until when
talkie:jobs:usual_s       how long a film takes
talkie:jobs:<priority>    a stream with the group `workers`: the line of tasks
talkie:jobs:later         a sorted set: tasks that are put into their line when their time has come
talkie:key:<owner>:<key>  an idempotency key

None of them but the last has a time to live: under `maxmemory-policy volatile-lru` the cache makes room,
jobs stay. Redis away for a moment is asked again; away for longer it is `Unavailable`.
"""

from __future__ import annotations

import asyncio
import socket
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any, TypeVar

import redis.asyncio as redis
from redis.exceptions import ResponseError, WatchError

from services.contract.errors import Unavailable
from services.contract.jobs import JobEventType, Priority
from services.gateway.jobs.queue import LEASE_S, Lease
from services.gateway.jobs.record import PRIORITIES, Claim, JobEvent, JobRecord, Page
from services.gateway.jobs.store import Change, Throughput
from services.gateway.jobs.terms import (
    FIRST_GUESS_S,
    HEARTBEAT_S,
    KEY_KEPT_S,
    MOST_EVENTS,
    REPORT_KEPT_S,
    WEIGHT_OF_LAST,
)

T = TypeVar("T")

GROUP = "workers"
_LATER, _EXPIRING = "talkie:jobs:later", "talkie:jobs:expiring"
_WORKERS, _USUAL_S = "talkie:jobs:workers", "talkie:jobs:usual_s"
_PATIENCE_S = 5.0
_AGAIN_S = 0.2
_TIMEOUT_S = 3.0
_BLOCK_MS = 2_000

# Only who holds a task renews it: an XCLAIM would take it from whoever it was given to.
_RENEW = """
local held = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[2], ARGV[2], 1)
if held[1] and held[1][2] == ARGV[3] then
  redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[3], 0, ARGV[2], 'JUSTID')
  return 1
end
return 0
"""

_FINISH = """
local held = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[2], ARGV[2], 1)
if held[1] and held[1][2] == ARGV[3] then
  redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
  redis.call('XDEL', KEYS[1], ARGV[2])
  return 1
end
return 0
"""

_DUE = """
local due = redis.call('ZRANGE', KEYS[1], '-inf', ARGV[1], 'BYSCORE', 'LIMIT', 0, 16)
for _, member in ipairs(due) do
  local line, task = string.match(member, '^(%a+)|%x+|(.*)$')
  redis.call('XADD', 'talkie:jobs:' .. line, '*', 'task', task)
  redis.call('ZREM', KEYS[1], member)
end
return #due
"""


def connect(url: str) -> Any:
    """Return a client for jobs."""
    return redis.Redis.from_url(
        url, decode_responses=True, socket_timeout=_TIMEOUT_S + _BLOCK_MS / 1000, socket_connect_timeout=_TIMEOUT_S
    )


async def _patiently(ask: Callable[[], Awaitable[T]]) -> T:
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


class RedisStore:
    """A `JobStore` in Redis."""

    def __init__(self, url: str) -> None:
        self._redis = connect(url)

    async def claim(self, owner: str, key: str, claim: Claim) -> Claim | None:
        """Let an idempotency key stand for a request."""
        name = f"talkie:key:{owner}:{key}"

        async def ask() -> Claim | None:
            if await self._redis.set(name, claim.model_dump_json(), nx=True, ex=KEY_KEPT_S):
                return None
            known = await self._redis.get(name)
            # A claim of our own, whose answer was lost, is not somebody else's.
            found = None if known is None else Claim.model_validate_json(known)
            return None if found == claim else found

        return await _patiently(ask)

    async def unclaim(self, owner: str, key: str) -> None:
        """Take a key back."""
        await _patiently(lambda: self._redis.delete(f"talkie:key:{owner}:{key}"))

    async def add(self, record: JobRecord) -> None:
        """Keep a new job."""

        async def ask() -> None:
            if await self._redis.exists(_job(record.id)):  # the answer to an earlier try was lost
                return
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.set(_job(record.id), record.model_dump_json())
                pipe.zadd(f"talkie:jobs:of:{record.owner}", {record.id: time.time()})
                pipe.sadd(f"talkie:jobs:open:{record.owner}", record.id)
                _tell(pipe, record, "video.queued")
                await pipe.execute()

        await _patiently(ask)

    async def get(self, job_id: str) -> JobRecord | None:
        """Return a job, or None."""
        kept = await _patiently(lambda: self._redis.get(_job(job_id)))
        return None if kept is None else JobRecord.model_validate_json(kept)

    async def change(self, job_id: str, change: Change, event: JobEventType | None = None) -> JobRecord | None:
        """Make `change`, and tell `event`."""

        async def ask() -> JobRecord | None:
            async with self._redis.pipeline(transaction=True) as pipe:
                while True:
                    await pipe.watch(_job(job_id))
                    kept = await pipe.get(_job(job_id))
                    changed = None if kept is None else change(JobRecord.model_validate_json(kept))
                    if changed is None:
                        return None
                    pipe.multi()
                    pipe.set(_job(job_id), changed.model_dump_json())
                    if changed.over:
                        pipe.srem(f"talkie:jobs:open:{changed.owner}", job_id)
                        if changed.job.expires_at is not None:
                            pipe.zadd(_EXPIRING, {job_id: changed.job.expires_at})
                    if event is not None:
                        _tell(pipe, changed, event)
                    try:
                        await pipe.execute()
                    except WatchError:
                        continue
                    return changed

        return await _patiently(ask)

    async def listed(self, owner: str, after: str, limit: int, *, newest_first: bool) -> Page:
        """Return a page of the owner's jobs."""
        name = f"talkie:jobs:of:{owner}"

        async def ask() -> tuple[list[str], list[str | None]]:
            rank = await (self._redis.zrevrank if newest_first else self._redis.zrank)(name, after) if after else None
            begin = 0 if rank is None else rank + 1
            ids = await self._redis.zrange(name, begin, begin + limit, desc=newest_first)
            return ids, await self._redis.mget([_job(job_id) for job_id in ids]) if ids else []

        ids, kept = await _patiently(ask)
        records = [JobRecord.model_validate_json(one) for one in kept[:limit] if one is not None]
        return Page(records=records, has_more=len(ids) > limit)

    async def count_waiting(self, owner: str) -> int:
        """Return how many of the owner's jobs are not over."""
        return int(await _patiently(lambda: self._redis.scard(f"talkie:jobs:open:{owner}")))

    async def remove(self, job_id: str) -> bool:
        """Forget a job and its events."""
        record = await self.get(job_id)

        async def ask() -> bool:
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.zrem(_EXPIRING, job_id)
                pipe.delete(_job(job_id), _events(job_id))
                if record is not None:
                    pipe.zrem(f"talkie:jobs:of:{record.owner}", job_id)
                    pipe.srem(f"talkie:jobs:open:{record.owner}", job_id)
                await pipe.execute()
            return record is not None

        return await _patiently(ask)

    async def expired(self, now: float) -> Sequence[str]:
        """Return the jobs whose time is over."""
        found: list[str] = await _patiently(lambda: self._redis.zrange(_EXPIRING, "-inf", now, byscore=True))
        return found

    async def events(self, job_id: str, after: str) -> AsyncGenerator[JobEvent | None, None]:
        """Yield the job's events as they come."""
        seen, quiet_since = after or "0-0", time.monotonic()
        while True:
            found = await self._events_after(job_id, seen)
            for event in found:
                seen, quiet_since = event.id, time.monotonic()
                yield event
                if event.last:
                    return
            if not found and ((record := await self.get(job_id)) is None or record.over):
                return
            if time.monotonic() - quiet_since > HEARTBEAT_S:
                quiet_since = time.monotonic()
                yield None

    async def _events_after(self, job_id: str, seen: str) -> list[JobEvent]:
        """Return the next events, or none after two seconds."""
        name = _events(job_id)
        found = await _patiently(lambda: self._redis.xread({name: seen}, block=_BLOCK_MS, count=100))
        entries = found[0][1] if found else []
        return [JobEvent.model_validate_json(told["event"]).model_copy(update={"id": at}) for at, told in entries]

    async def report(self, worker: str, slots: int) -> None:
        """Say that a worker lives."""
        alive_until = time.time() + REPORT_KEPT_S
        await _patiently(lambda: self._redis.zadd(_WORKERS, {f"{worker}|{slots}": alive_until}))

    async def note_duration(self, duration_s: float) -> None:
        """Say how long a film took."""

        async def ask() -> None:
            # Two workers at once may lose one of their two durations: it is a guess anyway.
            usual_s = float(await self._redis.get(_USUAL_S) or FIRST_GUESS_S)
            await self._redis.set(_USUAL_S, usual_s + WEIGHT_OF_LAST * (duration_s - usual_s))

        await _patiently(ask)

    async def throughput(self) -> Throughput:
        """Return how fast jobs are made."""

        async def ask() -> Throughput:
            await self._redis.zremrangebyscore(_WORKERS, "-inf", time.time())
            alive = await self._redis.zrange(_WORKERS, 0, -1)
            usual_s = float(await self._redis.get(_USUAL_S) or FIRST_GUESS_S)
            told = [worker.rpartition("|") for worker in alive]
            return Throughput(tuple(name for name, _, _ in told), sum(int(slots) for _, _, slots in told), usual_s)

        return await _patiently(ask)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()


class RedisQueue:
    """A `JobQueue` on Redis streams, one for each priority, with one group of consumers."""

    def __init__(self, url: str, lease_s: float = LEASE_S) -> None:
        self._redis = connect(url)
        self._lease_ms = round(1000 * lease_s)
        self._name = f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
        self._renew = self._redis.register_script(_RENEW)
        self._finish = self._redis.register_script(_FINISH)
        self._due = self._redis.register_script(_DUE)

    async def put(self, task: str, priority: Priority, after_s: float = 0.0) -> None:
        """Add a task."""
        await _patiently(lambda: self._put(task, priority, after_s))

    async def take(self) -> Lease | None:
        """Return the next task."""
        return await _patiently(self._take)

    async def renew(self, lease: Lease) -> bool:
        """Hold a task for longer."""
        return bool(await _patiently(lambda: self._of(self._renew, lease)))

    async def finish(self, lease: Lease) -> None:
        """Take a task out of the queue."""
        await _patiently(lambda: self._of(self._finish, lease))

    async def give_back(self, lease: Lease, after_s: float = 0.0) -> None:
        """Put a task back."""
        # In this order a death between the two leaves the task in the queue twice, which does no harm.
        await self.put(lease.task, lease.priority, after_s)
        await self.finish(lease)

    async def waiting(self) -> int:
        """Return how many tasks wait."""

        async def ask() -> int:
            waiting = int(await self._redis.zcard(_LATER))
            for priority in PRIORITIES:
                held = await self._grouped(priority, lambda line: self._redis.xpending(line, GROUP))
                waiting += int(await self._redis.xlen(_line(priority))) - int(held["pending"])
            return waiting

        return await _patiently(ask)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _put(self, task: str, priority: Priority, after_s: float) -> None:
        if after_s > 0:
            await self._redis.zadd(_LATER, {f"{priority}|{uuid.uuid4().hex}|{task}": time.time() + after_s})
        else:
            await self._redis.xadd(_line(priority), {"task": task})

    async def _take(self) -> Lease | None:
        await self._due(keys=[_LATER], args=[time.time()])
        for priority in PRIORITIES:
            if (lease := await self._abandoned(priority) or await self._next(priority)) is not None:
                return lease
        return None

    async def _abandoned(self, priority: Priority) -> Lease | None:
        """Return a task whose worker has not been heard of."""
        claimed = await self._grouped(
            priority, lambda line: self._redis.xautoclaim(line, GROUP, self._name, self._lease_ms, count=1)
        )
        return self._lease(priority, claimed[1])

    async def _next(self, priority: Priority) -> Lease | None:
        found = await self._grouped(
            priority, lambda line: self._redis.xreadgroup(GROUP, self._name, {line: ">"}, count=1)
        )
        return self._lease(priority, found[0][1] if found else [])

    def _lease(self, priority: Priority, entries: Sequence[tuple[str, dict[str, str]]]) -> Lease | None:
        return Lease(entries[0][1]["task"], priority, entries[0][0]) if entries else None

    async def _grouped(self, priority: Priority, ask: Callable[[str], Awaitable[Any]]) -> Any:
        """Return what `ask` returns of the line, which is begun where there is none."""
        try:
            return await ask(_line(priority))
        except ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                raise
        try:
            await self._redis.xgroup_create(_line(priority), GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):  # another worker was quicker
                raise
        return await ask(_line(priority))

    async def _of(self, script: Any, lease: Lease) -> Any:
        return await script(keys=[_line(lease.priority)], args=[GROUP, lease.handle, self._name])


def _job(job_id: str) -> str:
    return f"talkie:job:{job_id}"


def _events(job_id: str) -> str:
    return f"talkie:job:{job_id}:events"


def _line(priority: Priority) -> str:
    return f"talkie:jobs:{priority}"


def _tell(pipe: Any, record: JobRecord, event: JobEventType) -> None:
    told = JobEvent(id="", type=event, job=record.job).model_dump_json()
    pipe.xadd(_events(record.id), {"event": told}, maxlen=MOST_EVENTS, approximate=True)
