"""A stand-in for a language model's server: OpenAI's chat completions, streamed, and the ways they go wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

ANSWER = "Well, hello there. It is 3.5 degrees today. Take a coat with you."
EVERY_S = 0.01
IN_MID_SENTENCE = " in mid-sentence"
_SENTENCE_ENDS_AT, _SENTENCE_GOES_ON_AT = 8, 6
"""Words of the answer."""


def create_llm() -> FastAPI:
    """Return a server whose one model always says the same, token by token; what is asked of it may be a misfortune:

    "refuse", "misunderstand", "be busy", "say nothing", "forget the end"; and after the second sentence or, where that
    is added, `IN_MID_SENTENCE` "break off", "fail", "go silent", "only stay awake", "send rubbish".
    """
    app = FastAPI()
    app.state.asked = []
    app.state.left = 0
    app.state.written = 0

    @app.post("/v1/chat/completions")
    async def complete(request: Request) -> Response:
        body = await request.json()
        app.state.asked.append({**body, "authorization": request.headers.get("authorization", "")})
        wish = body["messages"][-1]["content"]
        if wish == "refuse":
            return JSONResponse({"error": {"message": "no such model", "type": "invalid_request_error"}}, 404)
        if wish == "misunderstand":
            return JSONResponse({"error": {"message": "too many messages"}}, 400)
        if wish == "be busy":
            return JSONResponse({"error": {"message": "rate limited"}}, 429)
        return StreamingResponse(_written(app, wish), media_type="text/event-stream")

    return app


async def _written(app: FastAPI, wish: str) -> AsyncIterator[bytes]:
    tokens = [] if wish == "say nothing" else [f" {word}" for word in ANSWER.split()]
    breaks_at = _SENTENCE_GOES_ON_AT if wish.endswith(IN_MID_SENTENCE) else _SENTENCE_ENDS_AT
    wish = wish.removesuffix(IN_MID_SENTENCE)
    ended = False
    try:
        yield b": a comment, as some servers send\n\n"
        yield _chunk({"role": "assistant", "content": ""})
        for number, token in enumerate(tokens):
            if number == breaks_at:
                if wish == "break off":
                    raise ConnectionError("as if the server had died")
                if wish == "fail":
                    yield b'data: {"error": {"message": "out of memory", "code": 500}}\n\n'
                    return
                if wish == "send rubbish":
                    yield b"data: <html>\n\n"
                    return
                if wish == "go silent":
                    await asyncio.sleep(60)
                while wish == "only stay awake":
                    await asyncio.sleep(0.1)
                    yield b": still here\n\n"
            yield _chunk({"content": token})
            app.state.written += 1
            await asyncio.sleep(EVERY_S)
        yield _chunk({}, "stop")
        yield b'data: {"choices": [], "usage": {"total_tokens": 3}}\n\n'
        if wish != "forget the end":
            yield b"data: [DONE]\n\n"
        ended = True
    finally:
        app.state.left += not ended


def _chunk(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return f"data: {json.dumps({'object': 'chat.completion.chunk', 'choices': [choice]})}\n\n".encode()
