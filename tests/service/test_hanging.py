"""A replica that hangs while it stays connected is given up; one that takes its time is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI
from fastapi.responses import Response, StreamingResponse

from services.avatar.app import create_app as create_avatar
from services.avatar.settings import AvatarSettings
from services.chassis.server import serve
from services.chassis.settings import ServiceSettings
from services.contract.errors import EngineFailed, Unavailable
from services.contract.video import AvatarInfo
from services.gateway.clients import AvatarClient, TtsClient
from services.gateway.pipeline import FilmMaker, Fragment, Pace
from services.gateway.script import Scene, Script
from services.tts.app import create_app as create_tts
from services.tts.settings import TtsSettings
from tests.live import TimedEngine, until
from tests.service.road import road

INFO = AvatarInfo(name="a", title="A", license="CC0-1.0", width=1, height=1)
SCRIPT = Script((Scene("One is here. Two is here.", "maya"),), language="English", width=128, height=128)
HEAD_BYTES = 100
"""Less than an answer's head."""


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.gateway.watching._LOOK_EVERY_S", 0.2)
    monkeypatch.setattr("services.gateway.watching._AGAIN_S", 0.1)
    monkeypatch.setattr("services.gateway.calling._HEALTH_TIMEOUT_S", 0.6)


@asynccontextmanager
async def film_services() -> AsyncIterator[tuple[str, str]]:
    tts_settings = TtsSettings(port=0, cache_enable=False)
    avatar_settings = AvatarSettings(port=0, cache_enable=False)
    async with (
        serve(create_tts(tts_settings, TimedEngine({}, sound_s=1.0)), tts_settings) as tts_url,
        serve(create_avatar(avatar_settings), avatar_settings) as avatar_url,
    ):
        yield tts_url, avatar_url


async def film(tts_url: str, *avatar_urls: str) -> bytes:
    tts, avatar = TtsClient(tts_url), AvatarClient(",".join(avatar_urls))
    try:
        events = FilmMaker(tts, avatar, Pace()).film(SCRIPT)
        return b"".join([event.data async for event in events if isinstance(event, Fragment)])
    finally:
        await asyncio.gather(tts.aclose(), avatar.aclose())


@pytest.mark.parametrize("carries_bytes", [HEAD_BYTES, 5_000], ids=["before the head", "in the middle"])
def test_a_film_goes_on_with_another_replica(carries_bytes: int) -> None:
    async def run() -> None:
        async with film_services() as (tts_url, avatar_url):
            whole = await film(tts_url, avatar_url)
            assert len(whole) > 2 * 5_000
            async with road(avatar_url, carries_bytes) as hanging:
                assert await asyncio.wait_for(film(tts_url, hanging.url, avatar_url), 60) == whole
                assert hanging.carried.is_set()

    asyncio.run(run())


class Unhurried:
    """A service that answers when it is told to; how often it was asked, and whether it lives, is counted."""

    def __init__(self) -> None:
        self.asked = self.checked = 0
        self.released = asyncio.Event()

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.get("/v1/avatars")
        async def avatars() -> Response:
            self.asked += 1
            await self.released.wait()
            return Response(f"[{INFO.model_dump_json()}]", media_type="application/json")

        @app.get("/v1/avatars/a/portrait")
        async def portrait() -> Response:
            return StreamingResponse(self._slowly(), media_type="image/jpeg")

        @app.get("/health/live")
        async def live() -> dict[str, str]:
            self.checked += 1
            return {}

        return app

    async def _slowly(self) -> AsyncIterator[bytes]:
        yield b"half"
        await self.released.wait()
        yield b"whole"


@asynccontextmanager
async def unhurried() -> AsyncIterator[tuple[Unhurried, str]]:
    service = Unhurried()
    async with serve(service.app(), ServiceSettings(port=0, drain_s=1)) as url:
        yield service, url


def test_one_that_only_takes_its_time_is_waited_for() -> None:
    async def run() -> None:
        async with unhurried() as (service, url):
            client = AvatarClient(f"{url},http://localhost:{url.rpartition(':')[2]}")
            listing, looking = asyncio.create_task(client.avatars()), asyncio.create_task(client.portrait("a"))
            await until(lambda: service.checked >= 6)
            service.released.set()
            assert (await listing, await looking) == ([INFO], (b"halfwhole", "image/jpeg"))
            assert service.asked == 1
            await client.aclose()

    asyncio.run(run())


def test_where_there_is_no_other_it_is_told() -> None:
    async def run() -> None:
        async with unhurried() as (_, url):
            async with road(url, HEAD_BYTES) as hanging:
                client = AvatarClient(hanging.url)
                with pytest.raises(Unavailable, match="does not answer"):
                    await asyncio.wait_for(client.avatars(), 20)
                await client.aclose()
            async with road(url, 200) as hanging:
                client = AvatarClient(hanging.url)
                with pytest.raises(EngineFailed, match="broke off"):
                    await asyncio.wait_for(client.portrait("a"), 20)
                await client.aclose()

    asyncio.run(run())


def test_who_leaves_while_it_hangs_is_not_held() -> None:
    async def run() -> None:
        async with unhurried() as (_, url), road(url, 0) as hanging:
            client = AvatarClient(hanging.url)
            asking = asyncio.create_task(client.avatars())
            await asyncio.sleep(0.1)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            [replica] = await client.replicas.all()
            assert (replica.exchanges, replica.breaker.closed) == (set(), True)
            await client.aclose()

    asyncio.run(run())
