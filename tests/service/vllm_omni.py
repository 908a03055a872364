"""A stand-in for a vLLM-Omni server: the calls of its documented speech API that the engine makes."""

from __future__ import annotations

import base64
import io
import wave
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

RATE_HZ = 24_000
SAMPLES_PER_LETTER = 1201
"""An odd number of bytes per piece: pieces of a stream need not end between two samples."""


def create_vllm_omni() -> FastAPI:
    """Return a server with one model; it hums as long as the text is, and remembers what it was asked."""
    app = FastAPI()
    app.state.asked = []
    app.state.busy = False

    @app.get("/health")
    async def health() -> Response:
        return Response()

    @app.get("/v1/audio/voices")
    async def voices() -> dict[str, Any]:
        return {"voices": ["vivian", "ryan"]}

    @app.post("/v1/audio/speech")
    async def speech(request: Request) -> Response:
        body = await request.json()
        app.state.asked.append(body)
        if app.state.busy:
            return JSONResponse({"error": {"message": "too many"}}, 429)
        if body.get("voice") == "nobody":
            return JSONResponse({"error": {"message": "Invalid voice"}}, 400)
        assert body["stream"] and body["stream_format"] == "audio" and body["response_format"] == "pcm"
        if "ref_audio" in body:
            _check_wav(body["ref_audio"])
        return StreamingResponse(_hum(body["input"]), media_type="audio/pcm")

    return app


async def _hum(text: str) -> AsyncIterator[bytes]:
    pcm = (b"\x00\x10" * SAMPLES_PER_LETTER) * len(text)
    for start in range(0, len(pcm), 999):
        yield pcm[start : start + 999]


def _check_wav(url: str) -> None:
    kind, _, data = url.partition(";base64,")
    assert kind == "data:audio/wav"
    with wave.open(io.BytesIO(base64.b64decode(data))) as file:
        assert file.getframerate() == RATE_HZ
