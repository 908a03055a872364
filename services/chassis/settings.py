"""Settings every service shares. Each service subclasses this with its own prefix."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServiceSettings(BaseSettings):
    """Where a service listens and what it refuses before reading it."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", populate_by_name=True)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(0, ge=0, le=65_535, description="Port to listen on; 0 takes a free one.")
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")
    max_body_bytes: int = Field(32 * 1024 * 1024, gt=0, description="Larger request bodies are answered with 413.")
    drain_s: float = Field(30.0, ge=0, description="How long work in flight may go on after SIGTERM.")
