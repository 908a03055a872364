"""Where jobs are kept, what happened to them, and which requests asked for them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from services.contract.jobs import JobEventType
from services.gateway.jobs.record import Claim, JobEvent, JobRecord, Page

Change = Callable[[JobRecord], JobRecord | None]
"""Returns what a record becomes; None where it is to stay as it is."""


@dataclass(frozen=True)
class Throughput:
    """How many films are made at once, and how long one takes."""

    workers: tuple[str, ...]
    """Names of those that live."""
    slots: int
    usual_s: float

    def wait_s(self, waiting: int) -> int:
        """Return how long a job that comes behind `waiting` others waits, about; a second at least."""
        return max(1, round(self.usual_s * (waiting + 1) / max(1, self.slots)))


@dataclass(frozen=True)
class Room:
    """How many jobs may be open, that is, not over."""

    of_all: int
    of_each: int
    """Of one owner."""


NO_END = Room(10**9, 10**9)

Added = Literal["added", "all_full", "owner_full"]


class JobStore(Protocol):
    """Keeps job records and their events. Raises `Unavailable` when it cannot be reached."""

    async def claim(self, owner: str, key: str, claim: Claim) -> Claim | None:
        """Let an idempotency key stand for a request for a moment; return what it stands for already, if anything."""

    async def settle(self, owner: str, key: str, claim: Claim) -> None:
        """Say that the job of a key is taken in: the key stands for it for a day."""

    async def unclaim(self, owner: str, key: str) -> None:
        """Take a key back, because nothing came of its request."""

    async def add(self, record: JobRecord, task: str, room: Room = NO_END) -> Added:
        """Keep a new job and put its task in line, both or neither; its first event is `video.queued`.

        Return whether there was room for it.
        """

    async def get(self, job_id: str) -> JobRecord | None:
        """Return a job, or None."""

    async def change(self, job_id: str, change: Change, event: JobEventType | None = None) -> JobRecord | None:
        """Make `change`, at once and whole, and tell `event`; return the new record, None where nothing changed."""

    async def listed(self, owner: str, after: str, limit: int, *, newest_first: bool) -> Page:
        """Return `limit` of the owner's jobs at most, those after the job `after`; from the beginning without it."""

    async def remove(self, job_id: str) -> bool:
        """Forget a job and its events; return whether there was one."""

    async def expired(self, now: float) -> Sequence[str]:
        """Return the jobs whose time is over."""

    def events(self, job_id: str, after: str) -> AsyncGenerator[JobEvent | None, None]:
        """Yield the job's events after the one with the id `after`, all of them without it, as they come.

        Yields None where nothing has happened for a while, and ends after the last event or with the job.
        """

    async def report(self, worker: str, slots: int) -> None:
        """Say that a worker lives that makes `slots` films at once; counts for some seconds."""

    async def note_duration(self, duration_s: float) -> None:
        """Say how long a film took."""

    async def throughput(self) -> Throughput:
        """Return how fast jobs are made."""

    async def close(self) -> None:
        """Let go of connections."""
