"""Makes the engine that the settings describe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from services.tts.engines.qwen3.checkpoints import Checkpoints, Kind
from services.tts.engines.qwen3.engine import QwenEngine
from services.tts.engines.qwen3.model import ModelShelf, Placement
from services.tts.engines.qwen3.prompts import PromptBook, RedisPrompts
from services.tts.settings import TtsSettings


def make_qwen3(settings: TtsSettings) -> QwenEngine:
    """Return the engine; its weights are loaded when they are first needed."""
    if settings.threads:
        torch.set_num_threads(settings.threads)
    on_gpu = settings.device.startswith("cuda")
    dtype = settings.dtype if settings.dtype != "auto" else "bfloat16" if on_gpu else "float32"
    placement = Placement(settings.device, dtype, settings.use_flash_attention)
    shared = RedisPrompts(settings.redis_url, settings.cache_redis_ttl_s) if settings.redis_url else None
    return QwenEngine(
        Checkpoints(_folders(settings), settings.default_model),
        ModelShelf(placement, round(settings.vram_budget_gb * 2**30)),
        PromptBook(settings.kept_prompts, shared),
        most_together=settings.max_batch,
        most_live_together=1 if on_gpu else settings.max_batch,
        context_frames=settings.context_frames,
    )


def _folders(settings: TtsSettings) -> Mapping[tuple[Kind, str], Path]:
    there = settings.models_dir / "qwen3"
    return {
        ("base", "0.6b"): settings.model_0_6b_base or there / "0.6b-base",
        ("base", "1.7b"): settings.model_1_7b_base or there / "1.7b-base",
        ("custom_voice", "0.6b"): settings.model_0_6b_custom_voice or there / "0.6b-custom-voice",
        ("custom_voice", "1.7b"): settings.model_1_7b_custom_voice or there / "1.7b-custom-voice",
        ("voice_design", "1.7b"): settings.model_1_7b_voice_design or there / "1.7b-voice-design",
    }
