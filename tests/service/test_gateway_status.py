"""What the gateway tells of itself is true: what is ready, what there is, and what is switched off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from services.chassis.server import serve
from services.chassis.settings import ServiceSettings
from services.contract.errors import Unavailable
from services.gateway.app import create_app as create_gateway
from services.gateway.settings import GatewaySettings
from services.tts.app import create_app as create_tts
from services.tts.engine import SpeechEngine
from services.tts.settings import TtsSettings
from tests.live import TimedEngine
from tests.service.vllm_omni import create_vllm_omni


class Polyglot(TimedEngine):
    """Speaks some languages as several countries do, and has two checkpoints, of which none may be loaded."""

    def __init__(self) -> None:
        super().__init__({})
        self.loaded = True

    def languages(self) -> list[str]:
        return ["art-x-pyash", "ca", "ca-valencia", "en-GB", "en-US", "pt-BR", "pt-PT", "zh"]

    def checkpoints(self) -> list[str]:
        return ["base_0.6b", "base_1.7b"]

    def check(self) -> None:
        if not self.loaded:
            raise Unavailable("The weights are still loading.", retry_after_s=2)


class Anything(dict[str, str]):
    """Has something for every parameter of a path."""

    def __missing__(self, key: str) -> str:
        return "one"


@asynccontextmanager
async def gateway(
    engine: SpeechEngine, tts: dict[str, Any] | None = None, **fields: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of a gateway whose voice is `engine`; nobody listens where its avatar service should be."""
    tts_settings = TtsSettings.model_validate({"port": 0} | (tts or {}))
    async with serve(create_tts(tts_settings, engine), tts_settings) as tts_url:
        asked = {"port": 0, "tts_url": tts_url, "avatar_url": "http://127.0.0.1:9"} | fields
        settings = GatewaySettings.model_validate(asked)
        async with (
            serve(create_gateway(settings), settings) as url,
            httpx.AsyncClient(base_url=url, timeout=30) as client,
        ):
            yield client


def test_health_says_what_readiness_says() -> None:
    async def run() -> None:
        engine = Polyglot()
        async with gateway(engine, enable_video=False) as client:
            for loaded in (False, True, False):
                engine.loaded = loaded
                health, ready = await client.get("/health"), await client.get("/health/ready")
                assert health.status_code == ready.status_code == (200 if loaded else 503)
                models = ["timed"] if loaded else []
                assert health.json() == {"status": "healthy" if loaded else "unavailable", "models_loaded": models}
                info = (await client.get("/info")).json()
                assert (info["loaded_models"], info["available_models"][0]) == (models, "timed")

    asyncio.run(run())


def test_health_names_who_is_there_while_others_are_not() -> None:
    async def run() -> None:
        async with gateway(Polyglot()) as client:
            health, info = await client.get("/health"), await client.get("/info")
            assert (health.status_code, health.json()) == (503, {"status": "unavailable", "models_loaded": ["timed"]})
            assert info.json()["loaded_models"] == ["timed"]

    asyncio.run(run())


def test_info_names_engines_checkpoints_and_each_language_once() -> None:
    async def run() -> None:
        hosted, local = create_vllm_omni(), ServiceSettings(port=0)
        async with serve(hosted, local) as url:
            tts = {"fallback": ["vllm_omni"], "vllm_url": url}
            async with gateway(Polyglot(), tts, enable_video=False) as client:
                info = (await client.get("/info")).json()
        assert info["loaded_models"] == ["timed"]
        assert info["available_models"] == ["timed", "base_0.6b", "base_1.7b", "vllm_omni"]
        languages = info["supported_languages"]
        assert languages[:6] == ["Auto", "art-x-pyash", "ca", "English", "Portuguese", "Chinese"]
        assert len(set(languages)) == len(languages) == 6 + 7, "the other engine speaks seven languages more"

    asyncio.run(run())


@pytest.mark.parametrize("remote", [False, True])
def test_every_route_of_films_says_that_video_is_off(remote: bool) -> None:
    async def run() -> None:
        async with gateway(Polyglot(), enable_video=False, use_newavata_api=remote) as client:
            paths = (await client.get("/openapi.json")).json()["paths"]
            routes = [(verb, path, route["tags"]) for path in paths for verb, route in paths[path].items()]
            of_films = [route for route in routes if {"video", "jobs", "newavata"} & set(route[2])]
            assert len(of_films) > 15
            jobs = [("get", "/v1/videos", ["jobs"]), ("delete", "/v1/videos/one", ["jobs"])]  # not always listed
            for verb, path, tags in [*of_films, *jobs]:
                answer = await client.request(verb, path.format_map(Anything()), json={} if verb == "post" else None)
                assert answer.status_code == 503, (verb, path)
                assert "ENABLE_VIDEO" in answer.json()["error" if "newavata" in tags else "detail"]

    asyncio.run(run())


def test_old_clients_of_newavata_are_told_in_its_way_what_is_away() -> None:
    async def run() -> None:
        async with gateway(Polyglot()) as client:
            for path in ("/api/v2/status", "/api/avatars", "/video/nothing_00000000.mp4", "/video/nothing"):
                answer = await client.get(path)
                assert answer.status_code in (404, 503), path
                assert answer.json() == {"success": False, "error": answer.json()["error"]}
            saved = await client.post("/api/video/save", content=b"{")
            assert (saved.status_code, saved.json()["success"]) == (400, False)
            cancelled = await client.post("/api/cancel", json={"sid": "nobody"})
            assert (cancelled.status_code, cancelled.json()["success"]) == (404, False)

    asyncio.run(run())
