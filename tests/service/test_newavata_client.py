"""API mode: an existing NewAvata server makes the films, over real HTTP, in health and with every fault."""

from __future__ import annotations

import asyncio
import io
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any

import av
import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from services.chassis.server import serve
from services.chassis.settings import ServiceSettings
from services.gateway.app import create_app
from services.gateway.settings import GatewaySettings
from services.tts.app import create_app as create_tts
from services.tts.settings import TtsSettings
from tests.service.newavata import AVATARS, create_newavata

Visit = Callable[[httpx.AsyncClient, FastAPI], Awaitable[None]]
HELLO = {"text": "Hello there."}
UNTOLD = {
    **{"ref_text": "Hi.", "model_size": "0.6b", "aspect": "16:9", "fps": 30, "pitch": 1.1},
    **{"instructions": "Whisper.", "seed": 1, "use_cache": False},
}
"""Fields that a NewAvata server knows nothing of."""


def a_film() -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for shade in range(10):
            picture = np.full((64, 64, 3), shade * 20, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode(None))
    return file.getvalue()


FILM = a_film()


def with_gateway(visit: Visit, *, away: bool = False, **fields: Any) -> None:
    async def run() -> None:
        server, local = create_newavata(FILM), ServiceSettings(port=0, drain_s=0)
        tts = TtsSettings(port=0)
        async with serve(server, local) as newavata_url, serve(create_tts(tts), tts) as tts_url:
            url = "http://127.0.0.1:9" if away else newavata_url
            settings = GatewaySettings.model_validate(
                {"port": 0, "tts_url": tts_url, "use_newavata_api": True, "newavata_api_url": url} | fields
            )
            async with (
                serve(create_app(settings), settings) as gateway_url,
                httpx.AsyncClient(base_url=gateway_url, timeout=30) as client,
            ):
                await visit(client, server)

    asyncio.run(run())


def test_films_come_from_the_server() -> None:
    async def visit(client: httpx.AsyncClient, server: FastAPI) -> None:
        answer = await client.post("/video/generate", json=HELLO | {"quality": "low", "tts_voice": "Custom"})
        assert answer.status_code == 200
        assert answer.content == FILM
        assert answer.headers["X-Talkie-Engine"] == "newavata"
        assert "X-Talkie-Notice" not in answer.headers
        asked = server.state.asked[-1]
        assert (asked["text"], asked["avatar"], asked["quality"]) == ("Hello there.", "auto", "low")
        assert asked["tts_voice"] == "Custom"
        assert "frame_skip" not in asked
        streamed = await client.get(
            "/video/stream", params={"text": "Hello.", "size": "1280x720", "avatar": AVATARS[1]}
        )
        assert b"moof" in streamed.content
        asked = server.state.asked[-1]
        assert (asked["avatar"], asked["resolution"]) == (AVATARS[1], "720p")
        with av.open(io.BytesIO(streamed.content)) as film:
            assert sum(1 for _ in film.decode(video=0)) == 10

    with_gateway(visit)


def test_what_there_is_is_told_of_the_server() -> None:
    async def visit(client: httpx.AsyncClient, server: FastAPI) -> None:
        for server.state.fault in ("", "old"):
            assert (await client.get("/video/avatars")).json() == {"avatars": list(AVATARS)}
            assert (await client.get("/video/tts_engines")).json()[0]["id"] == "cosyvoice"
            status = (await client.get("/video/status")).json()
            assert (status["video_engine"], status["available_avatars"]) == ("newavata", list(AVATARS))
            assert (await client.get("/health")).json()["models_loaded"][-1] == "newavata"
            assert (await client.get("/health/ready")).status_code == 200
            assert (await client.post("/video/generate", json=HELLO)).status_code == 200
        speech = await client.post("/v1/audio/speech", json={"input": "Hello."})
        assert speech.status_code == 200

    with_gateway(visit)


@pytest.mark.parametrize(
    ("fault", "status", "told"),
    [
        ("busy", 503, "overloaded"),
        ("loading", 503, "models are not loaded"),
        ("error event", 500, "CUDA out of memory"),
        ("cut", 500, "broke off"),
        ("no file", 404, "File not found"),
    ],
)
def test_its_faults_become_problems(fault: str, status: int, told: str) -> None:
    async def visit(client: httpx.AsyncClient, server: FastAPI) -> None:
        server.state.fault = fault
        answer = await client.post("/video/generate", json=HELLO)
        assert answer.status_code == status
        assert told in answer.json()["detail"]
        if fault == "busy":
            assert answer.headers["Retry-After"] == "42"
        server.state.fault = ""
        assert (await client.post("/video/generate", json=HELLO)).status_code == 200

    with_gateway(visit)


def test_a_server_that_is_away_is_told() -> None:
    async def visit(client: httpx.AsyncClient, server: FastAPI) -> None:
        answer = await client.post("/video/generate", json=HELLO)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert "NEWAVATA_API_URL" in answer.json()["detail"]
        assert (await client.get("/health/ready")).status_code == 503
        health = await client.get("/health")
        assert (health.status_code, health.json()["models_loaded"]) == (503, ["espeak"])
        theirs = await client.get("/api/avatars")
        assert (theirs.status_code, theirs.json()["success"]) == (503, False)

    with_gateway(visit, away=True)


def test_there_are_no_jobs_and_nothing_is_made_at_start(caplog: pytest.LogCaptureFixture) -> None:
    async def visit(client: httpx.AsyncClient, server: FastAPI) -> None:
        asked = [("POST", ""), ("GET", ""), ("GET", "/one"), ("DELETE", "/one"), ("GET", "/one/content")]
        for verb, path in [*asked, ("POST", "/one/remix")]:
            answer = await client.request(verb, f"/v1/videos{path}")
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
            assert "USE_NEWAVATA_API" in answer.json()["detail"]
        assert server.state.asked == []

    with caplog.at_level(logging.WARNING):
        with_gateway(visit, prerender=[HELLO])
    assert "GATEWAY_PRERENDER" in caplog.text


def test_what_it_cannot_do_is_refused_or_told() -> None:
    async def visit(client: httpx.AsyncClient, server: FastAPI) -> None:
        picture = await client.post("/video/generate", data=HELLO, files={"avatar_image": b"picture"})
        voice = await client.post("/video/generate", json=HELLO | {"ref_audio": "someone"})
        size = await client.post("/video/generate", json=HELLO | {"size": "500x500"})
        added = await client.post("/video/avatars", data={"name": "me"}, files={"image": b"picture"})
        assert [answer.status_code for answer in (picture, voice, size, added)] == [422, 422, 422, 503]
        assert [answer.json()["param"] for answer in (picture, voice, size)] == ["avatar_image", "ref_audio", "size"]
        assert server.state.asked == []
        told = await client.post("/video/generate", json=HELLO | {"language": "en", "speed": 1.5})
        assert told.status_code == 200
        assert "speed" in told.headers["X-Talkie-Notice"]
        assert "language" in told.headers["X-Talkie-Notice"]
        told = await client.post("/video/generate", json=HELLO | UNTOLD)
        assert set(UNTOLD) <= set(re.split("[ ,.]+", told.headers["X-Talkie-Notice"]))

    with_gateway(visit)


def test_a_client_who_leaves_cancels_the_film_there() -> None:
    async def visit(client: httpx.AsyncClient, server: FastAPI) -> None:
        server.state.fault = "slow"
        with pytest.raises(httpx.ReadTimeout):
            await client.post("/video/generate", json=HELLO, timeout=1.0)
        for _ in range(50):
            if server.state.cancelled and server.state.left:
                break
            await asyncio.sleep(0.1)
        assert server.state.cancelled == [server.state.asked[0]["sid"]]
        assert server.state.left == 1

    with_gateway(visit)


def test_video_can_still_be_off() -> None:
    async def visit(client: httpx.AsyncClient, server: FastAPI) -> None:
        answer = await client.post("/video/generate", json=HELLO)
        assert answer.status_code == 503
        assert "ENABLE_VIDEO" in answer.json()["detail"]
        assert server.state.asked == []
        assert (await client.get("/health/ready")).status_code == 200

    with_gateway(visit, enable_video=False)
