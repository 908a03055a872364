"""The line of tasks on Redis streams, one for each kind, with one group of consumers.

talkie:jobs:interactive, talkie:jobs:batch, talkie:webhooks    streams with the group `workers`
talkie:jobs:later, talkie:webhooks:later                       sorted sets: tasks that are put in line in time
"""

from __future__ import annotations

import logging
import socket
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from redis.exceptions import ResponseError

from services.gateway.jobs.queue import FILM_LINES, LEASE_S, MOST_DELIVERIES, Lease, Line
from services.gateway.jobs.redis_patience import connect, patiently

_log = logging.getLogger(__name__)

GROUP = "workers"
_DONE = "0-0"
"""What XAUTOCLAIM says when it has looked at all pending entries."""

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

# The clock is that of Redis: those of many machines differ.
_LATER = """
local now = redis.call('TIME')
return redis.call('ZADD', KEYS[1], now[1] + now[2] / 1000000 + ARGV[1], ARGV[2])
"""

_DUE = """
local now = redis.call('TIME')
local due = redis.call('ZRANGE', KEYS[1], '-inf', now[1] + now[2] / 1000000, 'BYSCORE', 'LIMIT', 0, 16)
for _, member in ipairs(due) do
  local line, task = string.match(member, '^([%a:]+)|%x+|(.*)$')
  redis.call('XADD', line, '*', 'task', task)
  redis.call('ZREM', KEYS[1], member)
end
return #due
"""


def line_of(line: Line) -> str:
    """Return the stream of a line."""
    return "talkie:webhooks" if line == "webhooks" else f"talkie:jobs:{line}"


def _later_of(line: Line) -> str:
    return "talkie:webhooks:later" if line == "webhooks" else "talkie:jobs:later"


class RedisQueue:
    """A `JobQueue` in Redis."""

    def __init__(self, url: str, lease_s: float = LEASE_S) -> None:
        self._redis = connect(url)
        self._lease_ms = round(1000 * lease_s)
        self._name = f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
        self._renew, self._finish, self._later, self._due = (
            self._redis.register_script(script) for script in (_RENEW, _FINISH, _LATER, _DUE)
        )

    async def put(self, task: str, line: Line, after_s: float = 0.0) -> None:
        """Add a task."""
        await patiently(lambda: self._put(task, line, after_s))

    async def take(self, lines: Sequence[Line] = FILM_LINES) -> Lease | None:
        """Return the next task."""
        return await patiently(lambda: self._take(lines))

    async def renew(self, lease: Lease) -> bool:
        """Hold a task for longer."""
        return bool(await patiently(lambda: self._of(self._renew, lease)))

    async def finish(self, lease: Lease) -> None:
        """Take a task out of the queue for good."""
        await patiently(lambda: self._of(self._finish, lease))

    async def give_back(self, lease: Lease, after_s: float = 0.0) -> None:
        """Put a task back."""
        # In this order a death between the two leaves the task in the queue twice, which does no harm.
        if await self.renew(lease):
            await self.put(lease.task, lease.line, after_s)
            await self.finish(lease)

    async def waiting(self) -> int:
        """Return how many films wait."""

        async def ask() -> int:
            waiting = int(await self._redis.zcard("talkie:jobs:later"))
            for line in FILM_LINES:
                held = await self._grouped(line, lambda stream: self._redis.xpending(stream, GROUP))
                waiting += int(await self._redis.xlen(line_of(line))) - int(held["pending"])
            return waiting

        return await patiently(ask)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _put(self, task: str, line: Line, after_s: float) -> None:
        if after_s > 0:
            member = f"{line_of(line)}|{uuid.uuid4().hex}|{task}"
            await self._later(keys=[_later_of(line)], args=[after_s, member])
        else:
            await self._redis.xadd(line_of(line), {"task": task})

    async def _take(self, lines: Sequence[Line]) -> Lease | None:
        for later in dict.fromkeys(map(_later_of, lines)):
            await self._due(keys=[later])
        for line in lines:
            if (lease := await self._abandoned(line) or await self._next(line)) is not None:
                return lease
        return None

    async def _abandoned(self, line: Line) -> Lease | None:
        """Return a task whose worker has not been heard of; one that this happened to too often is dropped."""
        begin = "0-0"
        while True:
            begin, entries, *_ = await self._grouped(
                line,
                lambda stream, at=begin: self._redis.xautoclaim(  # type: ignore[misc]
                    stream, GROUP, self._name, self._lease_ms, start_id=at, count=1
                ),
            )
            if lease := self._lease(line, entries):
                if await self._deliveries(lease) <= MOST_DELIVERIES:
                    return lease
                _log.error("dropped: nobody who took %s was heard of again", lease.task)
                await self._of(self._finish, lease)
            if begin == _DONE:
                return None

    async def _next(self, line: Line) -> Lease | None:
        found = await self._grouped(
            line, lambda stream: self._redis.xreadgroup(GROUP, self._name, {stream: ">"}, count=1)
        )
        return self._lease(line, found[0][1] if found else [])

    async def _deliveries(self, lease: Lease) -> int:
        """Return how often a task was taken."""
        [held] = await self._redis.xpending_range(line_of(lease.line), GROUP, lease.handle, lease.handle, 1)
        return int(held["times_delivered"])

    def _lease(self, line: Line, entries: Sequence[tuple[str, dict[str, str]]]) -> Lease | None:
        return Lease(entries[0][1]["task"], line, entries[0][0]) if entries else None

    async def _grouped(self, line: Line, ask: Callable[[str], Awaitable[Any]]) -> Any:
        """Return what `ask` returns of the line's stream, which is begun where there is none."""
        stream = line_of(line)
        try:
            return await ask(stream)
        except ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                raise
        try:
            await self._redis.xgroup_create(stream, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):  # another worker was quicker
                raise
        return await ask(stream)

    async def _of(self, script: Any, lease: Lease) -> Any:
        return await script(keys=[line_of(lease.line)], args=[GROUP, lease.handle, self._name])
