"""The speech engines by name. An engine's libraries are imported only when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from services.tts.engine import SpeechEngine
from services.tts.settings import EngineName, TtsSettings


def _espeak(settings: TtsSettings) -> SpeechEngine:
    from services.tts.engines.espeak.engine import EspeakEngine

    return EspeakEngine(max_idle=settings.lanes)


def _qwen3(settings: TtsSettings) -> SpeechEngine:
    from services.tts.engines.qwen3.libraries import prepare_imports

    prepare_imports()
    from services.tts.engines.qwen3.making import make_qwen3

    return make_qwen3(settings)


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
