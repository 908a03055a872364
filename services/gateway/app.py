"""The gateway over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from services.chassis.app import create_service_app
from services.gateway.casting import Casting
from services.gateway.clients import AvatarClient, TtsClient
from services.gateway.copying import Copying
from services.gateway.fetching import AudioFetcher
from services.gateway.outputs import Outputs
from services.gateway.pipeline import FilmMaker
from services.gateway.routes.cache import cache_router
from services.gateway.routes.clone import clone_router
from services.gateway.routes.speech import speech_router
from services.gateway.routes.status import status_router
from services.gateway.routes.synthesize import synthesize_router
from services.gateway.routes.video import video_router
from services.gateway.routes.voices import voices_router
from services.gateway.settings import GatewaySettings

_STUDIO = Path(__file__).parent / "studio"


def create_app(settings: GatewaySettings) -> FastAPI:
    """Return the gateway to the services that `settings` name."""
    tts, avatar = TtsClient(settings.tts_url), AvatarClient(settings.avatar_url)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await tts.aclose()
        await avatar.aclose()

    async def ready() -> None:
        await tts.check_ready()
        if settings.enable_video:
            await avatar.check_ready()

    copying = Copying(tts, AudioFetcher() if settings.reference_urls else None)
    casting = Casting(settings, tts, avatar, copying)
    films = FilmMaker(tts, avatar, look_ahead=settings.look_ahead, parallel_segments=settings.parallel_segments)
    routers = [
        video_router(casting, films, tts, avatar),
        speech_router(settings, tts, copying),
        voices_router(tts),
        clone_router(settings, tts, copying),
        cache_router(tts),
        synthesize_router(settings, tts, Outputs()),
        status_router(settings, tts, avatar),
    ]
    app = create_service_app("Talkie", settings, lifespan=lifespan, ready=ready, routers=routers)
    app.mount("/", StaticFiles(directory=_STUDIO, html=True), name="studio")
    return app
