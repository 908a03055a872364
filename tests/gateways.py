"""A gateway of this process, over engines that tests can look at."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from services.avatar.app import create_app as create_avatar
from services.avatar.settings import AvatarSettings
from services.chassis.lane import EngineLane
from services.chassis.server import serve
from services.gateway.app import create_app as create_gateway
from services.gateway.settings import GatewaySettings
from services.tts.app import create_app as create_tts
from services.tts.engine import SpeechEngine
from services.tts.settings import TtsSettings
from tests.service.card import CardEngine


@asynccontextmanager
async def gateway(
    engine: SpeechEngine, cards: CardEngine | None = None, **settings: Any
) -> AsyncIterator[tuple[str, EngineLane]]:
    """Give the URL of a gateway whose voice is `engine`, and its lane; where there are `cards`, it shows them."""
    tts_settings = TtsSettings(port=0, lanes=8, cache_enable=False)
    tts = create_tts(tts_settings, engine)
    async with AsyncExitStack() as running:
        urls = {"tts_url": await running.enter_async_context(serve(tts, tts_settings))}
        if cards is not None:
            avatar_settings = AvatarSettings(port=0, cache_enable=False)
            avatar = create_avatar(avatar_settings, cards)
            urls["avatar_url"] = await running.enter_async_context(serve(avatar, avatar_settings))
        wanted = GatewaySettings.model_validate({"port": 0, "enable_video": cards is not None, **urls, **settings})
        yield await running.enter_async_context(serve(create_gateway(wanted), wanted)), tts.state.speaker.lane
