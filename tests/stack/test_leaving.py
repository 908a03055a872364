"""A client that leaves stops the work at once; a service that is away or off is said to be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from services.avatar.app import create_app as create_avatar
from services.avatar.settings import AvatarSettings
from services.chassis.lane import EngineLane
from services.chassis.server import serve
from services.gateway.app import create_app as create_gateway
from services.gateway.settings import GatewaySettings
from services.tts.app import create_app as create_tts
from services.tts.settings import TtsSettings

LONG_TEXT = "This sentence is one of many, and nobody will wait for the last of them. " * 60
PATIENCE_S = 5.0
"""The film would take far longer; how quickly lanes are freed is for a benchmark to say."""


@asynccontextmanager
async def product() -> AsyncIterator[tuple[httpx.AsyncClient, EngineLane, EngineLane]]:
    """Give a client of the gateway, and the lanes of tts and avatar to look at."""
    tts_settings, avatar_settings = TtsSettings(port=0), AvatarSettings(port=0)
    tts, avatar = create_tts(tts_settings), create_avatar(avatar_settings)
    async with serve(tts, tts_settings) as tts_url, serve(avatar, avatar_settings) as avatar_url:
        settings = GatewaySettings(port=0, tts_url=tts_url, avatar_url=avatar_url)
        async with (
            serve(create_gateway(settings), settings) as url,
            httpx.AsyncClient(base_url=url, timeout=60) as client,
        ):
            yield client, tts.state.speaker.lane, avatar.state.lip_sync.lane


async def until(condition: Callable[[], bool]) -> float:
    """Return how long it took for `condition` to come true; fail when patience ends."""
    started = time.perf_counter()
    while not condition():
        assert time.perf_counter() - started < PATIENCE_S
        await asyncio.sleep(0.005)
    return time.perf_counter() - started


@pytest.mark.parametrize("path", ["/video/stream", "/video/generate"])
def test_a_client_that_leaves_frees_both_lanes(path: str) -> None:
    async def run() -> None:
        async with product() as (client, tts_lane, avatar_lane):
            film = asyncio.create_task(client.post(path, json={"text": LONG_TEXT, "size": "512x512"}))
            await until(lambda: avatar_lane.busy == 1)
            film.cancel()
            await until(lambda: avatar_lane.busy == tts_lane.busy == 0)
            again = await client.post("/video/generate", json={"text": "Hi.", "size": "128x128"})
            assert again.status_code == 200

    asyncio.run(run())


def test_speech_stops_when_its_listener_leaves() -> None:
    async def run() -> None:
        async with product() as (client, tts_lane, _):
            body = {"input": LONG_TEXT, "response_format": "wav"}
            async with client.stream("POST", "/v1/audio/speech", json=body) as answer:
                await anext(answer.aiter_raw())
            await until(lambda: tts_lane.busy == 0)

    asyncio.run(run())


def test_a_service_that_is_away_is_named() -> None:
    async def run() -> list[httpx.Response]:
        settings = GatewaySettings(port=0, tts_url="http://127.0.0.1:9", avatar_url="http://127.0.0.1:9")
        async with (
            serve(create_gateway(settings), settings) as url,
            httpx.AsyncClient(base_url=url) as client,
        ):
            ready = await client.get("/health/ready")
            return [ready, await client.post("/video/generate", json={"text": "Hi."})]

    ready, film = asyncio.run(run())
    assert ready.status_code == film.status_code == 503
    assert "tts service" in film.json()["detail"]
    assert film.headers["retry-after"] == "2"


def test_video_can_be_switched_off() -> None:
    async def run() -> tuple[httpx.Response, httpx.Response]:
        tts_settings = TtsSettings(port=0)
        async with serve(create_tts(tts_settings), tts_settings) as tts_url:
            settings = GatewaySettings(port=0, tts_url=tts_url, avatar_url="http://127.0.0.1:9", enable_video=False)
            async with (
                serve(create_gateway(settings), settings) as url,
                httpx.AsyncClient(base_url=url) as client,
            ):
                assert (await client.get("/health/ready")).status_code == 200
                film = await client.post("/video/generate", json={"text": "Hi."})
                return film, await client.post("/v1/audio/speech", json={"input": "Hi."})

    film, speech = asyncio.run(run())
    assert film.status_code == 503
    assert "ENABLE_VIDEO" in film.json()["detail"]
    assert speech.status_code == 200
