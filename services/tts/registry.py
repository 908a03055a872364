"""The speech engines by name. An engine's libraries are imported only when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from services.tts.engine import SpeechEngine
from services.tts.settings import EngineName, TtsSettings

if TYPE_CHECKING:
    from services.tts.engines.qwen3.checkpoints import Kind


def _espeak(settings: TtsSettings) -> SpeechEngine:
    from services.tts.engines.espeak.engine import EspeakEngine

    return EspeakEngine(max_idle=settings.lanes)


def _qwen3(settings: TtsSettings) -> SpeechEngine:
    from services.tts.engines.qwen3.libraries import prepare_imports

    prepare_imports()
    import torch

    from services.tts.engines.qwen3.checkpoints import Checkpoints
    from services.tts.engines.qwen3.engine import QwenEngine
    from services.tts.engines.qwen3.model import ModelShelf, Placement
    from services.tts.engines.qwen3.prompts import PromptBook, RedisPrompts

    if settings.threads:
        torch.set_num_threads(settings.threads)
    precise = "bfloat16" if settings.device.startswith("cuda") else "float32"
    dtype = precise if settings.dtype == "auto" else settings.dtype
    placement = Placement(settings.device, dtype, settings.use_flash_attention)
    shared = RedisPrompts(settings.redis_url, settings.cache_ttl_s) if settings.redis_url else None
    return QwenEngine(
        Checkpoints(_qwen3_folders(settings), settings.default_model),
        ModelShelf(placement, round(settings.vram_budget_gb * 2**30)),
        PromptBook(settings.kept_prompts, shared),
        most_together=settings.max_batch,
        most_live_together=1 if settings.device.startswith("cuda") else settings.max_batch,
        context_frames=settings.context_frames,
    )


def _kokoro(settings: TtsSettings) -> SpeechEngine:
    from services.tts.engines.kokoro.engine import KokoroEngine

    folder = settings.models_dir / "kokoro"
    model = settings.kokoro_model or folder / "kokoro-v1.0.onnx"
    voices = settings.kokoro_voices or folder / "voices-v1.0.bin"
    return KokoroEngine(model, voices, default_voice=settings.kokoro_voice)


def _piper(settings: TtsSettings) -> SpeechEngine:
    from services.tts.engines.piper.engine import PiperEngine

    folder = settings.piper_dir or settings.models_dir / "piper"
    return PiperEngine(folder, default_voice=settings.piper_voice, most_loaded=settings.piper_loaded)


def _vllm_omni(settings: TtsSettings) -> SpeechEngine:
    from services.tts.engines.vllm_omni import VllmOmniEngine

    return VllmOmniEngine(settings.vllm_url, settings.vllm_model)


def _qwen3_folders(settings: TtsSettings) -> Mapping[tuple[Kind, str], Path]:
    there = settings.models_dir / "qwen3"
    return {
        ("base", "0.6b"): settings.model_0_6b_base or there / "0.6b-base",
        ("base", "1.7b"): settings.model_1_7b_base or there / "1.7b-base",
        ("custom_voice", "0.6b"): settings.model_0_6b_custom_voice or there / "0.6b-custom-voice",
        ("custom_voice", "1.7b"): settings.model_1_7b_custom_voice or there / "1.7b-custom-voice",
        ("voice_design", "1.7b"): settings.model_1_7b_voice_design or there / "1.7b-voice-design",
    }


MAKERS: Mapping[str, Callable[[TtsSettings], SpeechEngine]] = {
    "espeak": _espeak,
    "qwen3": _qwen3,
    "kokoro": _kokoro,
    "piper": _piper,
    "vllm_omni": _vllm_omni,
}
"""Each makes its engine in this process. Blocking."""

_HOSTED: frozenset[EngineName] = frozenset({"qwen3", "kokoro", "piper"})
"""Engines that get a process of their own: their libraries are heavy, can lose a GPU, or are GPL."""


def make_engine(name: EngineName, settings: TtsSettings) -> SpeechEngine:
    """Return the engine, ready to be asked; raises `Unavailable` when something of it is missing. Blocking."""
    if name in _HOSTED:
        from services.tts.engines.hosted import HostedEngine

        return HostedEngine(name, settings)
    return MAKERS[name](settings)
