"""Settings every service shares. Each service subclasses this with its own prefix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

_CHECKOUT = Path(__file__).parents[2]


def folder_of_checkout(name: str) -> Path:
    """Return where a folder of the checkout lies, from wherever Talkie is run; without one, the working directory's."""
    return _CHECKOUT / name if (_CHECKOUT / "pyproject.toml").is_file() else Path(name)


def log_level_named(*names: str) -> Any:
    """Return the field of a log level that is read under these names, the first before the others."""
    return Field(
        "INFO",
        validation_alias=AliasChoices(*names),
        pattern=r"(?i)^(debug|info|warn|warning|error|critical)$",
        description="DEBUG, INFO, WARNING or ERROR.",
    )


class ServiceSettings(BaseSettings):
    """Where a service listens and what it refuses before reading it."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore", populate_by_name=True)

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(0, ge=0, le=65_535, description="Port to listen on; 0 takes a free one.")
    log_level: str = log_level_named("LOG_LEVEL")
    max_body_bytes: int = Field(32 * 1024 * 1024, gt=0, description="Larger request bodies are answered with 413.")
    drain_s: float = Field(30.0, ge=0, description="How long work in flight may go on after SIGTERM.")


_DAY_S = 24 * 3600


class CachingSettings(ServiceSettings):
    """What a service keeps of its results, and where."""

    redis_url: str = Field("", validation_alias="REDIS_URL", description="Cache that all replicas share.")
    store_redis_url: str = Field(
        "",
        validation_alias="STORE_REDIS_URL",
        description="Redis that drops nothing and remembers: of jobs and stored voices; empty for REDIS_URL's.",
    )
    cache_enable: bool = Field(True, description="Keep results and answer equal requests from them.")
    cache_dir: Path = Field(
        Path("cache"), validation_alias="CACHE_DIR", description="Folder of the cache on disk; it can be deleted."
    )
    cache_disk_mb: int = Field(512, ge=0, description="Room of the cache on disk; 0 keeps nothing there.")
    cache_ttl_s: int = Field(7 * _DAY_S, ge=1, description="How long a result is kept in memory and on disk.")
    cache_redis_ttl_s: int = Field(3600, ge=1, description="How long a result is kept in Redis.")

    @property
    def store_url(self) -> str:
        """The Redis that remembers; empty where there is none."""
        return self.store_redis_url or self.redis_url
