"""The speech engines by name. An engine's libraries are imported only when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from services.tts.engine import SpeechEngine
from services.tts.settings import EngineName, TtsSettings


def _espeak(settings: TtsSettings) -> SpeechEngine:
    from services.tts.engines.espeak.engine import EspeakEngine

    return EspeakEngine(max_idle=settings.lanes)


ENGINES: Mapping[EngineName, Callable[[TtsSettings], SpeechEngine]] = {"espeak": _espeak}
"""Each makes its engine, loaded and ready. Blocking."""
