"""NewAvata's HTTP API, which Talkie serves, and speaks to an existing NewAvata server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from services.contract.video import GpuState, Quality

Resolution = Literal["720p", "480p", "360p"]
OutputFormat = Literal["mp4", "webm"]
Stage = Literal["tts", "tts_done", "lipsync"]

AUTO_AVATAR = "auto"

PRESETS: Mapping[Quality, tuple[Resolution, int]] = {"high": ("720p", 1), "medium": ("480p", 2), "low": ("360p", 3)}
"""Resolution and `frame_skip` of each quality; what a request names itself wins."""


class LipSyncAsk(BaseModel):
    """Body of `POST /api/v2/lipsync` and `/api/v2/lipsync/stream`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    text: str = Field(min_length=1, max_length=200_000)
    avatar: str = Field(AUTO_AVATAR, max_length=100)
    quality: Quality = "high"
    resolution: Resolution | None = None
    frame_skip: int | None = Field(None, ge=1, le=3)
    tts_engine: str | None = Field(None, max_length=100)
    tts_voice: str | None = Field(None, max_length=100)
    output_format: OutputFormat = "mp4"
    persist: bool = False
    sid: str | None = Field(None, max_length=100, description="A name of the client's own, to cancel the request by.")

    @property
    def frames(self) -> tuple[Resolution, int]:
        """Resolution and `frame_skip`."""
        resolution, frame_skip = PRESETS[self.quality]
        return self.resolution or resolution, self.frame_skip or frame_skip


class StageEvent(BaseModel):
    """What the server is busy with."""

    type: Literal["status"] = "status"
    stage: Stage
    message: str = ""
    sid: str | None = None
    audio_url: str | None = None
    duration: float | None = Field(None, description="Length of the speech in seconds.")


class ElapsedTimes(BaseModel):
    """Seconds each part took."""

    tts: float = 0.0
    lipsync: float = 0.0
    total: float = 0.0


class DoneEvent(BaseModel):
    """The film is there."""

    type: Literal["done"] = "done"
    video_url: str
    audio_duration: float = 0.0
    persistent: bool = False
    elapsed: ElapsedTimes = ElapsedTimes()


class ErrorEvent(BaseModel):
    """There will be no film."""

    type: Literal["error"] = "error"
    message: str


FilmEvent = Annotated[StageEvent | DoneEvent | ErrorEvent, Field(discriminator="type")]
FILM_EVENT: TypeAdapter[StageEvent | DoneEvent | ErrorEvent] = TypeAdapter(FilmEvent)


class Finished(BaseModel):
    """Answer of `POST /api/v2/lipsync`."""

    success: Literal[True] = True
    video_path: str
    video_url: str
    elapsed: float
    persistent: bool


class Failed(BaseModel):
    """Answer of every call that failed."""

    success: Literal[False] = False
    error: str


class ServerStatus(BaseModel):
    """Answer of `GET /api/v2/status`."""

    status: str = "ok"
    models_loaded: bool
    available_avatars: list[str]
    tts_engines: list[str]


class ListedAvatar(BaseModel):
    """One of `GET /api/avatars`."""

    id: str
    name: str
    path: str = ""


class ListedEngine(BaseModel):
    """One of `GET /api/tts_engines`."""

    id: str
    name: str
    voices: list[str] = []
    default: bool = False
    available: bool = True


class Load(BaseModel):
    """What a server has to do."""

    processing_count: int = 0
    queue_length: int = 0
    max_concurrent: int = 1


class QueueStatus(Load):
    """Answer of `GET /api/queue_status`."""

    gpu: GpuState | None = None


class Availability(Load):
    """Answer of `GET /api/availability`."""

    available: bool = True
    availability: Literal["available", "busy", "overloaded"] = "available"
    recommendation: Literal["use_this_server", "use_other_service"] = "use_this_server"
    estimated_wait_seconds: float = 0.0
    message: str = ""


class SaveAsk(BaseModel):
    """Body of `POST /api/video/save`."""

    video_url: str


class Saved(BaseModel):
    """Answer of `POST /api/video/save`."""

    success: Literal[True] = True
    saved_url: str
    message: str = ""


class CancelAsk(BaseModel):
    """Body of `POST /api/cancel`."""

    sid: str


class Cancelled(BaseModel):
    """Answer of `POST /api/cancel`."""

    status: Literal["cancelled"] = "cancelled"
    removed_from_queue: bool
