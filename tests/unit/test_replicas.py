"""Replicas of a service, found and chosen."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

from services.chassis.breaker import Breaker
from services.chassis.problems import install_problem_handlers
from services.chassis.server import serve
from services.chassis.settings import ServiceSettings
from services.contract.errors import AtCapacity, EngineFailed, ServiceError, Unavailable
from services.contract.video import AvatarInfo
from services.gateway.clients import AvatarClient
from services.gateway.replicas import Replica, Replicas

INFO = AvatarInfo(name="a", title="A", license="CC0-1.0", width=1, height=1)


class Answering:
    """A service that lists its avatars, or does worse."""

    def __init__(self) -> None:
        self.asked = 0
        self.released = asyncio.Event()
        self.released.set()
        self.error: ServiceError | None = None
        self.breaks = False
        self.status = 200
        self.hosts: set[str] = set()

    def app(self) -> FastAPI:
        app = FastAPI()
        install_problem_handlers(app)

        @app.get("/v1/avatars")
        async def avatars(request: Request) -> Response:
            self.asked += 1
            self.hosts.add(request.headers["host"])
            await self.released.wait()
            if self.error is not None:
                raise self.error
            body = f"[{INFO.model_dump_json()}]"
            if self.breaks:
                return StreamingResponse(_broken(body), self.status, {"Content-Length": str(len(body))})
            return Response(body, media_type="application/json")

        @app.get("/health/ready")
        async def ready() -> dict[str, str]:
            return {}

        return app


async def _broken(body: str) -> AsyncIterator[str]:
    yield body[:5]
    raise RuntimeError("gone")


@asynccontextmanager
async def answering(count: int) -> AsyncIterator[tuple[list[Answering], list[str]]]:
    services = [Answering() for _ in range(count)]
    async with AsyncExitStack() as stack:
        urls = [
            await stack.enter_async_context(serve(service.app(), ServiceSettings(port=0, drain_s=1)))
            for service in services
        ]
        yield services, urls


def test_the_one_with_the_least_to_do_is_asked() -> None:
    async def visit() -> None:
        async with answering(3) as (services, urls):
            client = AvatarClient(", ".join(urls))
            services[0].released.clear()
            tasks = [asyncio.create_task(client.avatars()) for _ in range(3)]
            await asyncio.sleep(0.3)
            assert [service.asked for service in services] == [1, 1, 1]
            for _ in range(10):
                await client.avatars()
            assert services[0].asked == 1
            services[0].released.set()
            await asyncio.gather(*tasks)
            assert sum(service.asked for service in services) == 13
            await client.aclose()

    asyncio.run(visit())


@pytest.mark.parametrize("error", [AtCapacity("full", retry_after_s=7), Unavailable("loading")])
def test_one_that_has_no_room_passes_it_on(error: ServiceError) -> None:
    async def visit() -> None:
        async with answering(2) as (services, urls):
            client = AvatarClient(",".join(urls))
            services[0].error = error
            for _ in range(4):
                assert await client.avatars() == [INFO]
            services[1].error = error
            with pytest.raises(ServiceError, match=error.detail) as caught:
                await client.avatars()
            assert caught.value.retry_after_s == error.retry_after_s
            await client.aclose()

    asyncio.run(visit())


def test_a_refusal_is_nobody_elses_to_reconsider() -> None:
    async def visit() -> None:
        async with answering(2) as (services, urls):
            client = AvatarClient(",".join(urls))
            for service in services:
                service.error = EngineFailed("broken")
            with pytest.raises(ServiceError, match="broken"):
                await client.avatars()
            assert sum(service.asked for service in services) == 1
            await client.aclose()

    asyncio.run(visit())


def test_one_that_is_gone_is_left_alone_and_taken_back(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")

    async def visit() -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        dead = f"http://127.0.0.1:{port}"
        async with answering(1) as (services, urls):
            client = AvatarClient(f"{dead},{urls[0]}")
            for _ in range(6):
                assert await client.avatars() == [INFO]
            assert caplog.text.count("is left alone") == 1
            assert services[0].asked == 6
            back = Answering()
            async with serve(back.app(), ServiceSettings(port=port, drain_s=1)):
                for _ in range(40):
                    await client.avatars()
                    if back.asked > 2:
                        break
                    await asyncio.sleep(0.1)
                assert back.asked > 2
                assert caplog.text.count(f"{dead} is back") == 1
            await client.aclose()

    asyncio.run(visit())


def test_one_that_failed_is_tried_by_one_request_at_a_time() -> None:
    async def visit() -> None:
        now = [0.0]
        replicas = Replicas("avatar", "http://127.0.0.1:9,http://127.0.0.1:10")
        failed, well = await replicas.all()
        failed.breaker = Breaker(first_s=1, longest_s=1, now=lambda: now[0])
        with failed.exchange():  # begun before, and not what finds out
            failed.failed()
            now[0] += 2
            assert await replicas.pick() is failed
            with failed.exchange():
                now[0] += 60
                assert [await replicas.pick() for _ in range(4)] == [well] * 4
            assert await replicas.pick() is failed

    asyncio.run(visit())


def test_one_that_breaks_off_is_left_alone() -> None:
    async def visit() -> None:
        async with answering(2) as (services, urls):
            client = AvatarClient(",".join(urls))
            services[0].breaks = True
            failures = 0
            for _ in range(6):
                try:
                    await client.avatars()
                except EngineFailed:
                    failures += 1
            assert failures == 1
            await client.aclose()

    asyncio.run(visit())


def test_one_that_breaks_off_while_it_says_what_is_wrong_passes_it_on() -> None:
    async def visit() -> None:
        async with answering(2) as (services, urls):
            client = AvatarClient(",".join(urls))
            services[0].breaks, services[0].status = True, 500
            for _ in range(2):
                assert await client.avatars() == [INFO]
            assert [service.asked for service in services] == [1, 2]
            await client.aclose()

    asyncio.run(visit())


def test_all_of_them_away_is_told() -> None:
    async def visit() -> None:
        client = AvatarClient("http://127.0.0.1:9,http://127.0.0.1:10")
        with pytest.raises(Unavailable, match="does not answer"):
            await client.avatars()
        with pytest.raises(Unavailable, match=r"No replica|does not answer"):
            await client.avatars()
        with pytest.raises(Unavailable):
            await client.check_ready()
        await client.aclose()

    asyncio.run(visit())


def test_a_name_stands_for_all_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = ["10.0.0.1", "10.0.0.2"]

    async def lookup(self: Any, host: str, port: int, **_: Any) -> list[Any]:
        assert host == "avatar"
        if not addresses:
            raise OSError
        v4 = [(socket.AF_INET, 0, 0, "", (address, port)) for address in addresses]
        return [*v4, (socket.AF_INET6, 0, 0, "", ("fd00::1", port, 0, 0))]

    async def visit() -> None:
        monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", lookup)
        monkeypatch.setattr("services.gateway.replicas._LOOKED_UP_EVERY_S", 0.0)
        replicas = Replicas("avatar", "http://avatar:8001")
        known = await replicas.all()
        assert [replica.url for replica in known] == ["http://10.0.0.1:8001", "http://10.0.0.2:8001"]
        assert replicas.base_url == "http://avatar:8001"
        addresses.append("10.0.0.3")
        addresses.remove("10.0.0.1")
        assert await replicas.all() == known, "who asks does not wait for the name server"
        later = await looked_up(replicas)
        assert [replica.url for replica in later] == ["http://10.0.0.2:8001", "http://10.0.0.3:8001"]
        assert later[0] is known[1]
        addresses.clear()
        assert await looked_up(replicas) == later, "a name that nobody knows any more is not forgotten"

    asyncio.run(visit())


async def looked_up(replicas: Replicas) -> Sequence[Replica]:
    """Return the replicas after a fresh lookup."""
    await replicas.all()
    await asyncio.sleep(0.05)
    return await replicas.all()


def test_https_and_unknown_names_stay_as_they_are() -> None:
    async def visit() -> None:
        replicas = Replicas("avatar", "https://avatar.example/, http://no-such-host.invalid:1")
        assert [replica.url for replica in await replicas.all()] == [
            "https://avatar.example",
            "http://no-such-host.invalid:1",
        ]

    asyncio.run(visit())
