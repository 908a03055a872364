"""The line in which tasks wait for a worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from services.contract.jobs import Priority

LEASE_S = 6.0
"""A task whose worker has not been heard of for so long is given to another one."""

RENEWED_EVERY_S = 1.5


@dataclass(frozen=True)
class Lease:
    """A task that a worker has taken."""

    task: str
    priority: Priority
    handle: str
    """What the queue knows it by."""


class JobQueue(Protocol):
    """Each task is held by one worker at a time. Raises `Unavailable` when the queue cannot be reached.

    A worker that dies, or cannot renew its lease, loses the task to another one; so a task may be worked
    on twice, and what comes of it must be the same.
    """

    async def put(self, task: str, priority: Priority, after_s: float = 0.0) -> None:
        """Add a task at the end of its line; `after_s` from now."""

    async def take(self) -> Lease | None:
        """Return the next task: interactive ones first, and before new ones those whose worker is gone."""

    async def renew(self, lease: Lease) -> bool:
        """Hold a task for longer; return False when another worker has it, or nobody should."""

    async def finish(self, lease: Lease) -> None:
        """Take a task out of the queue for good."""

    async def give_back(self, lease: Lease, after_s: float = 0.0) -> None:
        """Put a task back into its line."""

    async def waiting(self) -> int:
        """Return how many tasks wait."""

    async def close(self) -> None:
        """Let go of connections."""
