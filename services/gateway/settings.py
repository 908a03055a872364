"""Settings of the gateway, read from the environment with the prefix `GATEWAY_`."""

from __future__ import annotations

from pathlib import Path

from pydantic import AliasChoices, Field
from pydantic_settings import SettingsConfigDict

from services.chassis.settings import CachingSettings
from services.gateway.requests import VideoRequest


class GatewaySettings(CachingSettings):
    """Where the other services are, and how much is asked of them at once."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_")

    port: int = Field(8000, ge=0, le=65_535, description="Port to listen on; 0 takes a free one.")
    max_body_bytes: int = Field(
        72 * 1024 * 1024, gt=0, description="Larger request bodies are answered with 413; a clip of an avatar fits."
    )
    tts_url: str = Field(
        "http://127.0.0.1:8002",
        description="Base URL of the tts service; several, separated by commas, or one whose name has an address for "
        "each replica.",
    )
    avatar_url: str = Field("http://127.0.0.1:8001", description="The same of the avatar service.")
    enable_video: bool = Field(
        True,
        validation_alias=AliasChoices("GATEWAY_ENABLE_VIDEO", "ENABLE_VIDEO"),
        description="Off: the video endpoints answer 503 and the avatar service is never asked.",
    )
    use_newavata_api: bool = Field(
        False,
        validation_alias=AliasChoices("GATEWAY_USE_NEWAVATA_API", "USE_NEWAVATA_API"),
        description="Let an existing NewAvata server make the films; the avatar service is not asked then.",
    )
    newavata_api_url: str = Field(
        "http://localhost:8001",
        validation_alias=AliasChoices("GATEWAY_NEWAVATA_API_URL", "NEWAVATA_API_URL"),
        description="Base URL of that server.",
    )
    video_output_dir: Path = Field(
        Path("results"),
        validation_alias=AliasChoices("GATEWAY_VIDEO_OUTPUT_DIR", "VIDEO_OUTPUT_DIR"),
        description="Where finished films are kept; gateways and workers share it.",
    )
    results_kept_s: float = Field(600.0, gt=0, description="How long those stay that are not to persist.")
    public_url: str = Field(
        "",
        validation_alias=AliasChoices("GATEWAY_PUBLIC_URL", "LIPSYNC_BASE_URL"),
        description="What stands before the paths of such films; empty gives paths alone.",
    )
    films_at_once: int = Field(2, ge=1, le=64, description="Films made side by side for NewAvata's clients.")
    films_waiting: int = Field(16, ge=0, description="Such films that may wait; more are answered with 503.")
    prerender: list[VideoRequest] = Field(
        [], description='Films made into the cache at start: [{"text": "Welcome!", "avatar": "grace"}]. JSON.'
    )
    jobs_inside: bool = Field(True, description="Whether the gateway works on jobs itself; otherwise workers do.")
    jobs_at_once: int = Field(2, ge=1, le=64, description="Jobs a worker works on side by side.")
    jobs_open: int = Field(1_000, ge=1, description="Unfinished jobs of all clients; more are answered with 503.")
    jobs_open_each: int = Field(100, ge=1, description="Unfinished jobs of one client; more are answered with 429.")
    jobs_tries: int = Field(3, ge=1, description="How often a job is begun until it is given up.")
    jobs_patience_s: float = Field(3600.0, ge=0, description="How long a job waits for services that are away.")
    jobs_kept_s: float = Field(86_400.0, gt=0, description="How long a film stays that is not to persist.")
    jobs_most_scenes: int = Field(200, ge=1, description="Scripts of more scenes are refused.")
    webhook_secret: str = Field("", description="Signs webhooks: whsec_ and base64; empty switches them off.")
    webhook_private: bool = Field(False, description="Send webhooks to private addresses and over http, too.")
    default_avatar: str = Field("", description="Avatar of requests that name none; empty takes the first there is.")
    max_text_chars: int = Field(20_000, ge=1, description="Longer texts are answered with 413.")
    look_ahead: int = Field(2, ge=1, le=64, description="Sentences spoken ahead of the one being rendered.")
    parallel_segments: int = Field(
        1,
        ge=1,
        le=64,
        description="Sentences of one film rendered side by side, and held until their turn; useful where the avatar "
        "service has as many lanes, over all its replicas.",
    )
    parallel_sentences: int = Field(
        8, ge=1, le=64, description="Sentences of one text spoken side by side where nobody listens live."
    )
    cache_memory_mb: int = Field(64, ge=1, description="Room for whole answers in memory.")
    reference_urls: bool = Field(False, description="Let clients name reference audio by https URL.")
