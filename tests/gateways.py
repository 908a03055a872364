"""A gateway of this process, over an engine that tests can look at."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from services.chassis.lane import EngineLane
from services.chassis.server import serve
from services.gateway.app import create_app as create_gateway
from services.gateway.settings import GatewaySettings
from services.tts.app import create_app as create_tts
from services.tts.engine import SpeechEngine
from services.tts.settings import TtsSettings


@asynccontextmanager
async def gateway(engine: SpeechEngine, **settings: Any) -> AsyncIterator[tuple[str, EngineLane]]:
    """Give the URL of a gateway whose voice is `engine`, and its lane."""
    tts_settings = TtsSettings(port=0, lanes=8, cache_enable=False)
    tts = create_tts(tts_settings, engine)
    async with serve(tts, tts_settings) as tts_url:
        wanted = GatewaySettings(port=0, tts_url=tts_url, enable_video=False, **settings)
        async with serve(create_gateway(wanted), wanted) as url:
            yield url, tts.state.speaker.lane
