"""Jobs in Redis: shared by all gateways and workers, and alive when all of them have died.

talkie:job:<id>           the record, JSON
talkie:job:<id>:events    a stream: what happened to it
talkie:jobs:of:<owner>    a sorted set: the owner's jobs by age
talkie:jobs:open          a set: those that are not over; talkie:jobs:open:<owner> the owner's
talkie:jobs:expiring      a sorted set: when each film goes
talkie:jobs:alive         a sorted set: which workers live, until when
talkie:jobs:usual_s       how long a film takes
talkie:key:<owner>:<key>  an idempotency key; nothing else has a time to live
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from redis.exceptions import WatchError

from services.contract.jobs import JobEventType
from services.gateway.jobs.record import Claim, JobEvent, JobRecord, Page
from services.gateway.jobs.redis_patience import connect, patiently
from services.gateway.jobs.redis_queue import line_of
from services.gateway.jobs.store import NO_END, Added, Change, Room, Throughput
from services.gateway.jobs.terms import (
    CLAIM_KEPT_S,
    EVENTS_KEPT_LONG,
    FIRST_GUESS_S,
    HEARTBEAT_S,
    KEY_KEPT_S,
    MOST_EVENTS,
    REPORT_KEPT_S,
    WEIGHT_OF_LAST,
)

_EXPIRING, _ALIVE, _USUAL_S = "talkie:jobs:expiring", "talkie:jobs:alive", "talkie:jobs:usual_s"
_OPEN = "talkie:jobs:open"
_BLOCK_MS = 2_000

# All at once, so that many who come together do not each find the same last place free. An answer that was lost
# is asked for again, and the job is there already.
_ADD = """
if redis.call('EXISTS', KEYS[1]) == 1 then return 'added' end
if redis.call('SCARD', KEYS[3]) >= tonumber(ARGV[6]) then return 'all_full' end
if redis.call('SCARD', KEYS[4]) >= tonumber(ARGV[7]) then return 'owner_full' end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('XADD', KEYS[2], '*', 'event', ARGV[3])
redis.call('SADD', KEYS[3], ARGV[1])
redis.call('SADD', KEYS[4], ARGV[1])
redis.call('ZADD', KEYS[5], ARGV[5], ARGV[1])
redis.call('XADD', KEYS[6], '*', 'task', ARGV[4])
return 'added'
"""


class RedisStore:
    """A `JobStore` in Redis."""

    def __init__(self, url: str) -> None:
        self._redis = connect(url, _BLOCK_MS / 1000)
        self._add = self._redis.register_script(_ADD)

    async def claim(self, owner: str, key: str, claim: Claim) -> Claim | None:
        """Let an idempotency key stand for a request."""

        async def ask() -> Claim | None:
            if await self._redis.set(_key(owner, key), claim.model_dump_json(), nx=True, ex=CLAIM_KEPT_S):
                return None
            known = await self._redis.get(_key(owner, key))
            # A claim of our own, whose answer was lost, is not somebody else's.
            found = None if known is None else Claim.model_validate_json(known)
            return None if found == claim else found

        return await patiently(ask)

    async def settle(self, owner: str, key: str, claim: Claim) -> None:
        """Say that the job of a key is taken in."""
        settled = claim.model_copy(update={"settled": True}).model_dump_json()
        await patiently(lambda: self._redis.set(_key(owner, key), settled, ex=KEY_KEPT_S))

    async def unclaim(self, owner: str, key: str) -> None:
        """Take a key back."""
        await patiently(lambda: self._redis.delete(_key(owner, key)))

    async def add(self, record: JobRecord, task: str, room: Room = NO_END) -> Added:
        """Keep a new job, and put its task in line: both or neither."""
        keys = [
            _job(record.id),
            _events(record.id),
            _OPEN,
            f"{_OPEN}:{record.owner}",
            f"talkie:jobs:of:{record.owner}",
            line_of(record.job.priority),
        ]
        queued = JobEvent.of(record.job, "video.queued").model_dump_json()
        args = [record.id, record.model_dump_json(), queued, task, time.time(), room.of_all, room.of_each]
        answer: Added = await patiently(lambda: self._add(keys=keys, args=args))
        return answer

    async def get(self, job_id: str) -> JobRecord | None:
        """Return a job, or None."""
        kept = await patiently(lambda: self._redis.get(_job(job_id)))
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
                        pipe.srem(_OPEN, job_id)
                        pipe.srem(f"{_OPEN}:{changed.owner}", job_id)
                        pipe.xtrim(_events(job_id), maxlen=EVENTS_KEPT_LONG, approximate=True)
                        if changed.job.expires_at is not None:
                            pipe.zadd(_EXPIRING, {job_id: changed.job.expires_at})
                    if event is not None:
                        _tell(pipe, changed, event)
                    try:
                        await pipe.execute()
                    except WatchError:
                        continue
                    return changed

        return await patiently(ask)

    async def listed(self, owner: str, after: str, limit: int, *, newest_first: bool) -> Page:
        """Return a page of the owner's jobs."""
        name = f"talkie:jobs:of:{owner}"

        async def ask() -> tuple[list[str], list[str | None]]:
            rank = await (self._redis.zrevrank if newest_first else self._redis.zrank)(name, after) if after else None
            begin = 0 if rank is None else rank + 1
            ids = await self._redis.zrange(name, begin, begin + limit, desc=newest_first)
            return ids, await self._redis.mget([_job(job_id) for job_id in ids]) if ids else []

        ids, kept = await patiently(ask)
        records = [JobRecord.model_validate_json(one) for one in kept[:limit] if one is not None]
        return Page(records=records, has_more=len(ids) > limit)

    async def remove(self, job_id: str) -> bool:
        """Forget a job and its events."""
        record = await self.get(job_id)

        async def ask() -> bool:
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.zrem(_EXPIRING, job_id)
                pipe.delete(_job(job_id), _events(job_id))
                if record is not None:
                    pipe.zrem(f"talkie:jobs:of:{record.owner}", job_id)
                    pipe.srem(_OPEN, job_id)
                    pipe.srem(f"{_OPEN}:{record.owner}", job_id)
                await pipe.execute()
            return record is not None

        return await patiently(ask)

    async def expired(self, now: float) -> Sequence[str]:
        """Return the jobs whose time is over."""
        found: list[str] = await patiently(lambda: self._redis.zrange(_EXPIRING, "-inf", now, byscore=True))
        return found

    async def events(self, job_id: str, after: str) -> AsyncGenerator[JobEvent | None, None]:
        """Yield the job's events as they come."""
        seen, quiet_since, over = after or "0-0", time.monotonic(), False
        while True:
            found = await self._events_after(job_id, seen)
            for event in found:
                seen, quiet_since = event.id, time.monotonic()
                yield event
                if event.last:
                    return
            if not found:
                if over:  # since before this look
                    return
                over = (record := await self.get(job_id)) is None or record.over
            if time.monotonic() - quiet_since > HEARTBEAT_S:
                quiet_since = time.monotonic()
                yield None

    async def _events_after(self, job_id: str, seen: str) -> list[JobEvent]:
        """Return the next events, or none after two seconds."""
        name = _events(job_id)
        found = await patiently(lambda: self._redis.xread({name: seen}, block=_BLOCK_MS, count=100))
        entries = found[0][1] if found else []
        return [JobEvent.model_validate_json(told["event"]).model_copy(update={"id": at}) for at, told in entries]

    async def report(self, worker: str, slots: int) -> None:
        """Say that a worker lives."""
        alive_until = time.time() + REPORT_KEPT_S
        await patiently(lambda: self._redis.zadd(_ALIVE, {f"{worker}|{slots}": alive_until}))

    async def note_duration(self, duration_s: float) -> None:
        """Say how long a film took."""

        async def ask() -> None:
            # Two workers at once may lose one of their two durations: it is a guess anyway.
            usual_s = float(await self._redis.get(_USUAL_S) or FIRST_GUESS_S)
            await self._redis.set(_USUAL_S, usual_s + WEIGHT_OF_LAST * (duration_s - usual_s))

        await patiently(ask)

    async def throughput(self) -> Throughput:
        """Return how fast jobs are made."""

        async def ask() -> Throughput:
            await self._redis.zremrangebyscore(_ALIVE, "-inf", time.time())
            alive = await self._redis.zrange(_ALIVE, 0, -1)
            usual_s = float(await self._redis.get(_USUAL_S) or FIRST_GUESS_S)
            told = [worker.rpartition("|") for worker in alive]
            return Throughput(tuple(name for name, _, _ in told), sum(int(slots) for _, _, slots in told), usual_s)

        return await patiently(ask)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()


def _job(job_id: str) -> str:
    return f"talkie:job:{job_id}"


def _key(owner: str, key: str) -> str:
    return f"talkie:key:{owner}:{key}"


def _events(job_id: str) -> str:
    return f"talkie:job:{job_id}:events"


def _tell(pipe: Any, record: JobRecord, event: JobEventType) -> None:
    told = JobEvent.of(record.job, event).model_dump_json()
    pipe.xadd(_events(record.id), {"event": told}, maxlen=MOST_EVENTS, approximate=True)
