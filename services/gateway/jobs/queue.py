"""The lines in which tasks wait for a worker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Line = Literal["interactive", "batch", "webhooks"]

FILM_LINES: tuple[Line, ...] = ("interactive", "batch")
"""Those of films; what waits in the first is taken first."""

LEASE_S = 6.0
"""A task whose worker has not been heard of for so long is given to another one."""

RENEWED_EVERY_S = 1.5

MOST_DELIVERIES = 10
"""A task that was taken so often, and whose worker was never heard of again, is dropped."""


@dataclass(frozen=True)
class Lease:
    """A task that a worker has taken."""

    task: str
    line: Line
    handle: str
    """What the queue knows it by."""


class JobQueue(Protocol):
    """Each task is held by one worker at a time. Raises `Unavailable` when the queue cannot be reached.

    A worker that dies, or cannot renew its lease, loses the task to another one; so a task may be worked
    on twice, and what comes of it must be the same.
    """

    async def put(self, task: str, line: Line, after_s: float = 0.0) -> None:
        """Add a task at the end of a line; `after_s` from now."""

    async def take(self, lines: Sequence[Line] = FILM_LINES) -> Lease | None:
        """Return the next task: of the first line that has one, and before new ones those whose worker is gone."""

    async def renew(self, lease: Lease) -> bool:
        """Hold a task for longer; return False when another worker has it, or nobody should."""

    async def finish(self, lease: Lease) -> None:
        """Take a task out of the queue for good."""

    async def give_back(self, lease: Lease, after_s: float = 0.0) -> None:
        """Put a task back into its line."""

    async def waiting(self) -> int:
        """Return how many films wait."""

    async def close(self) -> None:
        """Let go of connections."""
