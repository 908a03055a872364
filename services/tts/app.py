"""The tts service over HTTP."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from services.chassis.app import create_service_app
from services.chassis.metrics import metrics_router
from services.chassis.prerendering import prerender
from services.contract.errors import ServiceError
from services.tts.dispatch import Dispatcher
from services.tts.engine import SpeechEngine
from services.tts.keeping import Keeping
from services.tts.metrics import TtsMetrics
from services.tts.prerender import speak_for_later
from services.tts.routes.speech import speech_router
from services.tts.routes.voices import cache_router, voices_router
from services.tts.settings import TtsSettings
from services.tts.voices import DiskShelf, RedisShelf, Voices

_log = logging.getLogger(__name__)

_START_PATIENCE_S = 2.0
"""Light engines are ready when the service listens; weights go on loading, and readiness tells."""


def create_app(settings: TtsSettings, engine: SpeechEngine | None = None) -> FastAPI:
    """Return the service. It makes the engines that `settings` name, unless one is given; it closes them all."""
    registry = CollectorRegistry()
    shelf = RedisShelf(settings.store_url) if settings.voices_in_redis else DiskShelf(settings.voices_dir)
    voices = Voices(shelf, require_consent=settings.require_consent)
    keeping = Keeping(settings, registry)
    dispatcher = Dispatcher(settings, voices, keeping, TtsMetrics(registry), engine)

    async def warm_up() -> None:
        try:
            await dispatcher.default.warm_up()
        except ServiceError as error:
            _log.error("The %s engine is not ready: %s", settings.engine, error.detail)

    async def prerender_when_warm(warming: asyncio.Task[None]) -> None:
        await warming
        if settings.prerender:
            await prerender(settings.prerender, partial(speak_for_later, dispatcher))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        warming = asyncio.create_task(warm_up())
        prerendering = asyncio.create_task(prerender_when_warm(warming))
        try:
            await asyncio.wait([warming], timeout=_START_PATIENCE_S)
            yield
        finally:
            for task in (prerendering, warming):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
            await dispatcher.close()
            await keeping.close()
            await voices.close()

    routers = [
        speech_router(dispatcher),
        voices_router(settings, voices, keeping, dispatcher),
        cache_router(keeping),
        metrics_router(registry),
    ]
    app = create_service_app("Talkie tts", settings, lifespan=lifespan, ready=dispatcher.default.check, routers=routers)
    app.state.speaker = dispatcher.default
    return app
