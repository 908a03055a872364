"""A stand-in for a NewAvata server: the calls of its documented HTTP API, with the faults a real one has."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

AVATARS = ("talk_short_720p", "talk_long_720p")


def create_newavata(film: bytes) -> FastAPI:
    """Return a server whose every film is `film`; it remembers what it was asked.

    `state.fault` is "" or "busy", "loading", "error event", "cut", "no file", "slow", "old".
    """
    app = FastAPI()
    app.state.asked, app.state.cancelled, app.state.left, app.state.fault = [], [], 0, ""

    @app.get("/api/v2/status")
    async def status() -> dict[str, Any]:
        loaded = app.state.fault != "loading"
        return {
            "status": "ok",
            "models_loaded": loaded,
            "available_avatars": list(AVATARS),
            "tts_engines": ["cosyvoice"],
        }

    @app.get("/api/avatars")
    async def avatars() -> Any:
        listed = [{"id": name, "name": name, "path": f"precomputed/720p/{name}.pkl"} for name in AVATARS]
        return {"avatars": listed} if app.state.fault == "old" else listed

    @app.get("/api/tts_engines")
    async def tts_engines() -> list[dict[str, Any]]:
        return [{"id": "cosyvoice", "name": "CosyVoice", "voices": ["Custom"], "default": True, "available": True}]

    @app.get("/api/availability")
    async def availability() -> Response:
        if app.state.fault == "old":
            return JSONResponse({"success": False, "error": "Not found"}, 404)
        busy = app.state.fault == "busy"
        return JSONResponse(
            {
                "available": not busy,
                "availability": "overloaded" if busy else "available",
                "recommendation": "use_other_service" if busy else "use_this_server",
                "processing_count": 4 if busy else 0,
                "queue_length": 9 if busy else 0,
                "max_concurrent": 4,
                "estimated_wait_seconds": 42.0 if busy else 0.0,
                "message": "Try another one." if busy else "",
            }
        )

    @app.post("/api/v2/lipsync/stream")
    async def stream(request: Request) -> Response:
        body = await request.json()
        app.state.asked.append(body)
        if not body.get("text"):
            return JSONResponse({"success": False, "error": "text is required"}, 400)
        if app.state.fault == "loading":
            return JSONResponse({"success": False, "error": "models are not loaded"}, 503)
        return StreamingResponse(_events(app, body), media_type="text/event-stream")

    @app.get("/video/{filename}")
    async def video(filename: str) -> Response:
        if app.state.fault == "no file":
            return JSONResponse({"success": False, "error": "File not found"}, 404)
        return Response(film, media_type="video/mp4")

    @app.post("/api/cancel")
    async def cancel(request: Request) -> dict[str, Any]:
        app.state.cancelled.append((await request.json())["sid"])
        return {"status": "cancelled", "removed_from_queue": False}

    return app


async def _events(app: FastAPI, body: dict[str, Any]) -> AsyncIterator[str]:
    def event(**fields: Any) -> str:
        return f"data: {json.dumps(fields, ensure_ascii=False)}\n\n"

    try:
        yield event(type="status", stage="tts", message="TTS 음성 생성 중...")
        if app.state.fault == "slow":
            await asyncio.sleep(20)
        if app.state.fault == "error event":
            yield event(type="error", message="CUDA out of memory")
            return
        yield event(type="status", stage="tts_done", message="TTS 완료", audio_url="/assets/audio/a.wav", duration=1.5)
        if app.state.fault == "cut":
            return
        yield event(type="status", stage="lipsync", message="립싱크 비디오 생성 중...")
        url = f"https://elsewhere.example/video/{body['text'][:10]}_a1b2c3d4.mp4"
        elapsed = {"tts": 1.2, "lipsync": 8.5, "total": 9.7}
        yield event(type="done", video_url=url, audio_duration=1.5, persistent=False, elapsed=elapsed)
    except asyncio.CancelledError:
        app.state.left += 1
        raise
