"""What the speech cache holds, and dropping it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from services.contract.speech import CacheStats
from services.gateway.answers import Answers
from services.gateway.clients import TtsClient


def cache_router(tts: TtsClient, answers: Answers) -> APIRouter:
    """Return the routes below `/tts/cache`."""
    router = APIRouter(prefix="/tts/cache", tags=["cache"])

    @router.get("/stats")
    async def stats() -> CacheStats:
        """Tell how the cache does."""
        told = await tts.cache_stats()
        return CacheStats.counted(told.cache_size, told.max_cache_size, told.hits + answers.hits, told.misses)

    @router.post("/cleanup")
    async def cleanup() -> dict[str, Any]:
        """Drop what is out of date."""
        return {"status": "success", "removed": await tts.clean_cache()}

    @router.delete("/clear")
    async def clear() -> dict[str, Any]:
        """Drop all kept speech."""
        await answers.clear()
        return {"status": "success", "removed": await tts.clear_cache()}

    return router
