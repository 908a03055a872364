"""What is kept of a job."""

from __future__ import annotations

from pydantic import BaseModel

from services.contract.jobs import JobEventType, JobStatus, VideoJob
from services.gateway.script import Script

TERMINAL: frozenset[JobStatus] = frozenset({"completed", "failed"})


class JobRecord(BaseModel):
    """A job with all that making it needs."""

    job: VideoJob
    owner: str
    script: Script
    persist: bool = False
    webhook_url: str = ""
    put_off_since: float | None = None
    """Since when the services it needs have been away."""

    @property
    def id(self) -> str:
        """The job's id."""
        return self.job.id

    @property
    def over(self) -> bool:
        """Whether it is completed or failed."""
        return self.job.status in TERMINAL

    def updated(self, **fields: object) -> JobRecord:
        """Return the record with other fields of its job."""
        return self.model_copy(update={"job": self.job.model_copy(update=fields)})


class JobEvent(BaseModel):
    """Something that happened to a job. Ids of one job's events grow."""

    id: str
    type: JobEventType
    job: VideoJob

    @classmethod
    def of(cls, job: VideoJob, event: JobEventType) -> JobEvent:
        """Return what happened to `job`; how far it is need not say what it says, too."""
        told = job.model_copy(update={"prompt": ""}) if event == "video.progress" else job
        return cls(id="", type=event, job=told)

    @property
    def last(self) -> bool:
        """Whether nothing comes after it."""
        return self.job.status in TERMINAL


class Page(BaseModel):
    """Some jobs, and whether there are more."""

    records: list[JobRecord]
    has_more: bool


class Claim(BaseModel):
    """An idempotency key: whose request it stands for, and what came of that."""

    digest: str
    job_id: str
    settled: bool = False
    """Whether the job was taken in."""
