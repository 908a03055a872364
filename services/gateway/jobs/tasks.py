"""What stands in the line of tasks: films to make, and webhooks to send."""

from __future__ import annotations

from dataclasses import dataclass

from services.contract.jobs import JobStatus

_FILM, _WEBHOOK = "film", "webhook"


@dataclass(frozen=True)
class FilmTask:
    """Make the film of a job."""

    job_id: str


@dataclass(frozen=True)
class WebhookTask:
    """Tell somebody that a job is over; `tries` times it was told in vain."""

    job_id: str
    status: str
    tries: int

    def again(self) -> str:
        """Return the task for the next try."""
        return webhook_task(self.job_id, self.status, self.tries + 1)


def film_task(job_id: str) -> str:
    """Return the task of making a film."""
    return f"{_FILM}:{job_id}"


def webhook_task(job_id: str, status: JobStatus | str, tries: int = 0) -> str:
    """Return the task of telling that a job is `status`."""
    return f"{_WEBHOOK}:{job_id}:{status}:{tries}"


def read_task(task: str) -> FilmTask | WebhookTask:
    """Return what a task asks for. Raises `ValueError` for one that no version of this has written."""
    kind, *fields = task.split(":")
    if kind == _FILM and len(fields) == 1:
        return FilmTask(fields[0])
    if kind == _WEBHOOK and len(fields) == 3:
        return WebhookTask(fields[0], fields[1], int(fields[2]))
    raise ValueError(f"no task: {task!r}")
