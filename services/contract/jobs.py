"""Films as jobs on the wire: OpenAI's video objects, and what Talkie tells beside them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

JobStatus = Literal["queued", "in_progress", "completed", "failed"]
Priority = Literal["interactive", "batch"]
JobEventType = Literal["video.queued", "video.in_progress", "video.progress", "video.completed", "video.failed"]


class JobError(BaseModel):
    """Why a job failed."""

    code: str
    message: str


class VideoJob(BaseModel):
    """A film that is wanted, being made, or made."""

    id: str
    object: Literal["video"] = "video"
    model: str = Field(description="The lip-sync engine.")
    status: JobStatus
    progress: int = Field(ge=0, le=100, description="Percent.")
    created_at: int = Field(description="Seconds since 1970, as all times here.")
    started_at: int | None = None
    completed_at: int | None = None
    expires_at: int | None = Field(None, description="When the film goes; never, where there is none.")
    size: str
    seconds: str = Field(description="Length of the film, as far as it is known.")
    prompt: str = Field(description="What is said.")
    error: JobError | None = None
    remixed_from_video_id: str | None = None
    priority: Priority = "interactive"
    tries: int = Field(0, description="How often it was begun.")
    segments_done: int = 0
    segments_total: int | None = Field(None, description="Sentences; unknown until the first one is spoken.")
    eta_seconds: float | None = Field(None, description="How long it will still take, about.")
    notices: list[str] = Field([], description="What went another way than asked.")


class VideoJobList(BaseModel):
    """A page of jobs."""

    object: Literal["list"] = "list"
    data: list[VideoJob]
    first_id: str | None
    last_id: str | None
    has_more: bool


class VideoDeleted(BaseModel):
    """Says that a job was called off and its film removed."""

    id: str
    object: Literal["video.deleted"] = "video.deleted"
    deleted: bool = True


class WebhookData(BaseModel):
    """What a webhook is about."""

    id: str


class WebhookEvent(BaseModel):
    """Body of a webhook, as OpenAI sends it."""

    id: str
    object: Literal["event"] = "event"
    type: Literal["video.completed", "video.failed"]
    created_at: int
    data: WebhookData
