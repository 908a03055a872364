"""Settings of the tts service, read from the environment with the prefix `TTS_`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.chassis.settings import ServiceSettings

EngineName = Literal["espeak"]


class TtsSettings(ServiceSettings):
    """Which engine speaks, and how much of it at once."""

    model_config = SettingsConfigDict(env_prefix="TTS_")

    port: int = Field(8002, ge=0, le=65_535, description="Port to listen on; 0 takes a free one.")
    max_body_bytes: int = Field(256 * 1024, gt=0, description="Larger request bodies are answered with 413.")
    engine: EngineName = Field("espeak", description="The speech engine.")
    lanes: int = Field(8, ge=1, le=256, description="Utterances spoken at once.")
    max_waiting: int = Field(32, ge=0, description="Requests that may wait for a lane; more are answered with 503.")
    max_text_chars: int = Field(5_000, ge=1, le=5_000, description="Longer texts are answered with 422.")
