"""What runs here, in the form the old Qwen3-TTS server told it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from services.contract.languages import LANGUAGE_NAMES
from services.contract.speech import AUTO
from services.gateway.clients import Animator, TtsClient
from services.gateway.settings import GatewaySettings


def status_router(settings: GatewaySettings, tts: TtsClient, animator: Animator) -> APIRouter:
    """Return `/health` and `/info`."""
    router = APIRouter(tags=["status"])

    async def loaded() -> list[str]:
        engines = [(await tts.engine()).engine]
        return [*engines, await animator.name()] if settings.enable_video else engines

    @router.get("/health")
    async def health() -> dict[str, Any]:
        """Say that requests would be served, and by which engines."""
        return {"status": "healthy", "models_loaded": await loaded()}

    @router.get("/info")
    async def info() -> dict[str, Any]:
        """Say which engines, speakers and languages there are."""
        engine = await tts.engine()
        models = await loaded()
        return {
            "loaded_models": models,
            "available_models": models,
            "available_speakers": [voice.name for voice in engine.voices],
            "supported_languages": [AUTO, *(LANGUAGE_NAMES.get(tag, tag) for tag in engine.languages)],
        }

    return router
