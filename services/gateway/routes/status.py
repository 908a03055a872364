"""What runs here, in the form the old Qwen3-TTS server told it."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any

from fastapi import APIRouter, Response

from services.contract.errors import ServiceError
from services.contract.languages import LANGUAGE_NAMES, primary_tag
from services.contract.speech import AUTO, SpeechEngineInfo
from services.gateway.clients import Animator, TtsClient
from services.gateway.settings import GatewaySettings


def status_router(settings: GatewaySettings, tts: TtsClient, animator: Animator) -> APIRouter:
    """Return `/health` and `/info`."""
    router = APIRouter(tags=["status"])
    animators: list[Animator] = [animator] if settings.enable_video else []
    services = [tts, *animators]

    async def loaded() -> list[str]:
        """Return the engines that are ready, the one that speaks first."""
        return [name for service in services for name in await _if_there(_ready(service))]

    @router.get("/health")
    async def health(response: Response) -> dict[str, Any]:
        """Say whether requests would be served, and by which engines; 503 as long as they would not."""
        models = await loaded()
        healthy = len(models) == len(services)
        response.status_code = 200 if healthy else 503
        return {"status": "healthy" if healthy else "unavailable", "models_loaded": models}

    @router.get("/info")
    async def info() -> dict[str, Any]:
        """Say which engines, checkpoints, speakers and languages there are, and which engines are ready."""
        engine, engines = await tts.engine(), await tts.engines()
        speaking = [name for one in engines for name in (one.engine, *one.checkpoints)]
        return {
            "loaded_models": await loaded(),
            "available_models": speaking + [name for one in animators for name in await _if_there(one.name())],
            "available_speakers": [voice.name for voice in engine.voices],
            "supported_languages": [AUTO, *_languages(engines)],
        }

    return router


async def _ready(service: TtsClient | Animator) -> str:
    """Return the name of the service's engine; raises what says that it is not ready."""
    await service.check_ready()
    return await service.name()


async def _if_there(name: Awaitable[str]) -> list[str]:
    try:
        return [await name]
    except ServiceError:
        return []


def _languages(engines: Sequence[SpeechEngineInfo]) -> list[str]:
    """Return the name of each language once, whichever countries speak it; the tag of one we have no name for."""
    tags: dict[str, str] = {}
    for engine in engines:
        for tag in engine.languages:
            tags.setdefault(primary_tag(tag), tag)
    return [LANGUAGE_NAMES.get(primary, tag) for primary, tag in tags.items()]
