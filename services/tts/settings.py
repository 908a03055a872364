"""Settings of the tts service, read from the environment with the prefix `TTS_`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import AliasChoices, Field
from pydantic_settings import SettingsConfigDict

from services.chassis.settings import CachingSettings, folder_of_checkout, log_level_named

EngineName = Literal["espeak", "qwen3", "kokoro", "piper", "vllm_omni"]


def _folder(variable: str) -> Any:
    return Field(
        None,
        validation_alias=AliasChoices(f"TTS_{variable}", variable),
        description="Folder of these weights; by default below models_dir.",
    )


class TtsSettings(CachingSettings):
    """Which engines speak, with which weights, how much of it at once, and what is kept."""

    model_config = SettingsConfigDict(env_prefix="TTS_")

    port: int = Field(8002, ge=0, le=65_535, description="Port to listen on; 0 takes a free one.")
    log_level: str = log_level_named("TTS_LOG_LEVEL", "LOG_LEVEL")

    engine: EngineName = Field("espeak", description="The engine for what the routing table says nothing about.")
    routes: dict[str, list[EngineName]] = Field(
        {}, description='Engines by language, in order: {"en": ["kokoro", "piper"], "ru": ["piper"]}. JSON.'
    )
    fallback: list[EngineName] = Field(
        [],
        description="Engines to try, in order, when the chosen one fails; in another voice, when one of its own was "
        "named. Never for copied voices. JSON.",
    )
    lanes: int = Field(16, ge=1, le=256, description="Utterances spoken at once, by each engine.")
    max_waiting: int = Field(32, ge=0, description="Requests that may wait for a lane; more are answered with 503.")
    max_text_chars: int = Field(5_000, ge=1, le=5_000, description="Longer texts are answered with 422.")

    models_dir: Path = Field(
        folder_of_checkout("models"),
        validation_alias=AliasChoices("TTS_MODELS_DIR", "MODELS_DIR"),
        description="Where fetch-models puts weights.",
    )
    device: str = Field("cpu", description="cpu, cuda:0, cuda:1 ...")
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="Precision of the weights; auto is bfloat16 on a GPU and float32 elsewhere."
    )
    threads: int = Field(0, ge=0, description="CPU threads of torch; 0 leaves it to torch.")
    use_flash_attention: bool = Field(False, description="Attention by flash-attn, which must be installed.")
    default_model: str = Field(
        "base_0.6b",
        pattern=r"^(base|custom_voice|voice_design)_(0\.6b|1\.7b)$",
        description="The checkpoint that is loaded at start and preferred.",
    )
    model_0_6b_base: Path | None = _folder("MODEL_0_6B_BASE")
    model_1_7b_base: Path | None = _folder("MODEL_1_7B_BASE")
    model_0_6b_custom_voice: Path | None = _folder("MODEL_0_6B_CUSTOM_VOICE")
    model_1_7b_custom_voice: Path | None = _folder("MODEL_1_7B_CUSTOM_VOICE")
    model_1_7b_voice_design: Path | None = _folder("MODEL_1_7B_VOICE_DESIGN")
    vram_budget_gb: float = Field(0, ge=0, description="Weights held at once; the least used go. 0 holds all.")
    max_batch: int = Field(16, ge=1, le=64, description="Utterances spoken together where nobody listens live.")
    context_frames: int = Field(96, ge=0, le=400, description="Codec frames decoded again before each piece.")
    qwen3_voice: str = Field(
        "", description="The voice of requests that name none, or a gender alone: a stored or a built-in one."
    )
    kept_prompts: int = Field(64, ge=1, description="Clone prompts kept in memory.")

    kokoro_model: Path | None = Field(None, description="Kokoro's weights; by default below models_dir.")
    kokoro_voices: Path | None = Field(None, description="Kokoro's voices; by default below models_dir.")
    kokoro_voice: str = Field("", description="The voice of requests that name none.")
    piper_dir: Path | None = Field(None, description="Folder of Piper voices; by default below models_dir.")
    piper_voice: str = Field("", description="The voice of requests that name none.")
    piper_loaded: int = Field(4, ge=1, description="Piper voices held in memory at once.")

    vllm_url: str = Field("", description="Base URL of a vLLM-Omni server, for the vllm_omni engine.")
    vllm_model: str = Field("", description="The model to name to it; empty for the one it serves.")

    voices_dir: Path = Field(Path("voices"), description="Where stored voices lie when there is no Redis.")
    voices_in_redis: bool = Field(
        False, description="Keep stored voices in Redis, for several replicas; its memory policy must drop no keys."
    )
    require_consent: bool = Field(False, description="Store and copy no voice without a recorded consent.")
    max_reference_s: float = Field(60.0, gt=1, le=600, description="Longer reference audio is refused.")

    cache_max_size: int = Field(100, ge=1, description="Utterances kept in memory; the least used go.")
    prerender: list[str] = Field(
        [],
        description="Phrases spoken into the cache at start, each in one go; the gateway reads the same setting, and "
        "has them spoken as it cuts and reads them. JSON.",
    )
