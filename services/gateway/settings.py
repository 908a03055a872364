"""Settings of the gateway, read from the environment with the prefix `GATEWAY_`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import AliasChoices, BaseModel, Field, field_validator
from pydantic_settings import SettingsConfigDict

from services.chassis.settings import CachingSettings, log_level_named
from services.contract.push import TransferMethod
from services.gateway.requests import VideoRequest


def _push(name: str, old_name: str, default: Any, description: str, **bounds: Any) -> Any:
    """Return a field of pushing, which is read under the name it has in existing installations, too."""
    alias = AliasChoices(f"GATEWAY_PUSH_{name}", old_name)
    return Field(default, validation_alias=alias, description=description, **bounds)


_HOST = r"[^\s:?]+(:\d+)?"
_ICE_URL = rf"^(stun:{_HOST}|turn:{_HOST}(\?transport=(udp|tcp))?|turns:{_HOST}(\?transport=tcp)?)$"


class IceServer(BaseModel):
    """A server that helps a viewer and the gateway to find each other, as `RTCPeerConnection` in browsers takes it."""

    urls: str = Field(pattern=_ICE_URL)
    username: str | None = None
    credential: str | None = None


class GatewaySettings(CachingSettings):
    """Where the other services are, and how much is asked of them at once."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_")

    port: int = Field(8000, ge=0, le=65_535, description="Port to listen on; 0 takes a free one.")
    log_level: str = log_level_named("GATEWAY_LOG_LEVEL", "LOG_LEVEL")
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
    prerender_speech: list[str] = Field(
        [],
        validation_alias=AliasChoices("GATEWAY_PRERENDER_SPEECH", "TTS_PRERENDER"),
        description="Phrases spoken into the cache at start, cut and read as those of requests are. JSON.",
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
    push_websocket_url: str = _push(
        "WEBSOCKET_URL",
        "ORASERVER_WEBSOCKET_URL",
        "",
        "Server that speech is pushed to; empty switches pushing off.",
        pattern=r"^(wss?://\S+)?$",
    )
    push_http_url: str = _push(
        "HTTP_URL",
        "ORASERVER_HTTP_URL",
        "",
        "Server that speech is POSTed on to when it is asked for over HTTP; empty posts nothing.",
        pattern=r"^(https?://\S+)?$",
    )
    push_transfer_method: TransferMethod = _push(
        "TRANSFER_METHOD", "DEFAULT_TRANSFER_METHOD", "websocket", "Of requests without use_websocket."
    )
    push_fire_and_forget: bool = _push(
        "FIRE_AND_FORGET", "DEFAULT_FIRE_AND_FORGET", True, "Of requests without fire_and_forget."
    )
    push_chunk_bytes: int = _push(
        "CHUNK_BYTES", "WEBSOCKET_CHUNK_SIZE", 32_768, "Sound in the first chunks.", ge=1_024, le=524_288
    )
    push_max_retries: int = _push(
        "MAX_RETRIES",
        "WEBSOCKET_MAX_RETRIES",
        3,
        "Connections made one after the other without progress until a transfer fails.",
        ge=0,
        le=100,
    )
    push_adaptive: bool = Field(True, description="Make chunks as large as the connection takes in the next setting.")
    push_chunk_target_s: float = Field(0.25, gt=0, description="How long a chunk is to take.")
    push_compression: bool = Field(True, description="Offer permessage-deflate.")
    push_connect_timeout_s: float = Field(10.0, gt=0, description="How long connecting may take.")
    push_ack_timeout_s: float = Field(30.0, gt=0, description="How long a server may acknowledge nothing.")
    push_close_timeout_s: float = Field(2.0, gt=0, description="How long a server may take to hang up.")
    push_retry_s: float = Field(0.5, gt=0, description="Pause before the first new connection; then twice as long.")
    push_at_once: int = Field(32, ge=1, le=1_024, description="Transfers side by side.")
    push_waiting: int = Field(128, ge=0, description="Transfers that may wait; more are answered with 503.")
    push_kept_s: float = Field(600.0, gt=0, description="How long the state of a finished transfer is told.")
    live_sessions: int = Field(64, ge=1, description="Live sessions at once; more are answered with 503.")
    live_sentences: int = Field(4, ge=1, le=64, description="Sentences of a live session spoken side by side.")
    live_silence_s: float = Field(600.0, gt=0, description="A live session in which nothing is said ends after this.")
    live_stalled_s: float = Field(20.0, gt=0, description="A client that reads nothing for so long is given up.")
    live_origins: list[str] = Field(
        [], description='Pages beside our own that may open live sessions: ["https://example.com"]; "*" is all. JSON.'
    )
    live_viewers: int = Field(16, ge=1, description="Viewers over WebRTC at once; more are answered with 503.")
    live_ice_servers: list[IceServer] = Field(
        [], description='STUN and TURN server of WebRTC, one of each: [{"urls": "stun:stun.example.com"}]. JSON.'
    )
    llm_base_url: str = Field(
        "",
        validation_alias=AliasChoices("GATEWAY_LLM_BASE_URL", "LLM_BASE_URL"),
        description="Base URL of an OpenAI-compatible language model, ending in /v1; empty for none.",
    )
    llm_api_key: str = Field(
        "", validation_alias=AliasChoices("GATEWAY_LLM_API_KEY", "LLM_API_KEY"), description="Its key, if it wants one."
    )
    llm_model: str = Field(
        "", validation_alias=AliasChoices("GATEWAY_LLM_MODEL", "LLM_MODEL"), description="Which model answers."
    )
    llm_silence_s: float = Field(30.0, gt=0, description="A language model that writes nothing for so long has failed.")
    twilio_auth_token: str = Field(
        "",
        description="Calls are taken only with Twilio's signature made with it, of the URL under GATEWAY_PUBLIC_URL or "
        "of the host that was asked for; empty takes all.",
    )
    cache_memory_mb: int = Field(64, ge=1, description="Room for whole answers in memory.")
    reference_urls: bool = Field(False, description="Let clients name reference audio by https URL.")

    @field_validator("live_ice_servers")
    @classmethod
    def _one_of_each_kind(cls, servers: list[IceServer]) -> list[IceServer]:
        kinds = [server.urls[:4] for server in servers]
        if len(set(kinds)) < len(kinds):
            raise ValueError("one STUN server and one TURN server are used, more are not")
        return servers
