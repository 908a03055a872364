"""What the speech cache holds, and dropping it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from services.contract.speech import CacheStats
from services.gateway.clients import TtsClient


def cache_router(tts: TtsClient) -> APIRouter:
    """Return the routes below `/tts/cache`."""
    router = APIRouter(prefix="/tts/cache", tags=["cache"])

    @router.get("/stats")
    async def stats() -> CacheStats:
        """Tell how the cache does."""
        return await tts.cache_stats()

    @router.post("/cleanup")
    async def cleanup() -> dict[str, Any]:
        """Drop what is out of date."""
        return {"status": "success", "removed": await tts.clean_cache()}

    @router.delete("/clear")
    async def clear() -> dict[str, Any]:
        """Drop all kept speech."""
        return {"status": "success", "removed": await tts.clear_cache()}

    return router
