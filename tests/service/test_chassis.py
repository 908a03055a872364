"""What every service does, over real HTTP: problems, limits, request ids, honest streams, draining."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Request, UploadFile
from fastapi.responses import Response

from services.chassis.app import create_service_app
from services.chassis.lane import EngineLane
from services.chassis.server import serve
from services.chassis.settings import ServiceSettings
from services.chassis.streaming import begin_stream
from services.contract.errors import EngineFailed, Unavailable

LIMIT_BYTES = 100_000
Visit = Callable[[httpx.AsyncClient, EngineLane], Awaitable[None]]


def pieces(count: int, fails_at: int | None) -> Generator[bytes, None, None]:
    for number in range(count):
        if number == fails_at:
            raise EngineFailed("the engine broke")
        yield bytes(1000)


def router_of(lane: EngineLane) -> APIRouter:
    router = APIRouter()

    @router.get("/stream")
    async def stream(request: Request, count: int = 10, fails_at: int | None = None) -> Response:
        return await begin_stream(request, lane.stream(lambda: pieces(count, fails_at)), "application/octet-stream")

    @router.post("/upload")
    async def upload(file: UploadFile) -> int:
        return len(await file.read())

    @router.post("/json")
    async def take_json(body: dict[str, Any]) -> dict[str, Any]:
        return body

    @router.get("/fine")
    async def fine() -> str:
        return "done"

    @router.get("/bug")
    async def bug() -> None:
        raise KeyError("a bug")

    return router


@asynccontextmanager
async def service() -> AsyncIterator[tuple[httpx.AsyncClient, EngineLane]]:
    lane = EngineLane("test")

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await lane.aclose()

    async def ready() -> None:
        raise Unavailable("the engine is still loading")

    settings = ServiceSettings(max_body_bytes=LIMIT_BYTES)
    app = create_service_app("test", settings, lifespan=lifespan, ready=ready, routers=[router_of(lane)])
    async with serve(app, settings) as url, httpx.AsyncClient(base_url=url) as client:
        yield client, lane


def with_service(visit: Visit) -> None:
    async def run() -> None:
        async with service() as (client, lane):
            await visit(client, lane)

    asyncio.run(run())


async def endless() -> AsyncIterator[bytes]:
    for _ in range(500):
        yield bytes(10_000)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 404, "not_found"),
        ("POST", "/fine", 405, "method_not_allowed"),
        ("GET", "/stream?count=many", 422, "invalid_request"),
        ("GET", "/stream?fails_at=0", 500, "engine_failed"),
        ("GET", "/bug", 500, "internal_error"),
    ],
)
def test_every_failure_is_a_problem_with_the_requests_id(method: str, path: str, status: int, code: str) -> None:
    async def visit(client: httpx.AsyncClient, lane: EngineLane) -> None:
        answer = await client.request(method, path, headers={"X-Request-ID": "my-id"})
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["x-request-id"] == "my-id"
        problem = answer.json()
        assert (problem["code"], problem["request_id"]) == (code, "my-id")
        assert problem["error"]["message"] == problem["detail"]

    with_service(visit)


def test_a_malformed_request_id_is_replaced() -> None:
    async def visit(client: httpx.AsyncClient, lane: EngineLane) -> None:
        answer = await client.get("/fine", headers={"X-Request-ID": "a b;c"})
        assert answer.headers["x-request-id"].isalnum()

    with_service(visit)


def test_an_overlong_body_is_answered_413_whoever_reads_it() -> None:
    async def visit(client: httpx.AsyncClient, lane: EngineLane) -> None:
        declared = await client.post("/upload", files={"file": bytes(2 * LIMIT_BYTES)})
        as_json = await client.post("/json", content=endless(), headers={"Content-Type": "application/json"})
        head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'

        async def multipart() -> AsyncIterator[bytes]:
            yield head
            async for piece in endless():
                yield piece

        form = {"Content-Type": "multipart/form-data; boundary=x"}
        as_form = await client.post("/upload", content=multipart(), headers=form)
        for answer in (declared, as_json, as_form):
            assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        assert (await client.post("/upload", files={"file": bytes(1000)})).json() == 1000

    with_service(visit)


def test_health_tells_life_from_readiness() -> None:
    async def visit(client: httpx.AsyncClient, lane: EngineLane) -> None:
        assert (await client.get("/health/live")).status_code == 200
        ready = await client.get("/health/ready")
        assert ready.status_code == 503
        assert ready.json()["reason"] == "the engine is still loading"

    with_service(visit)


def test_a_stream_that_breaks_is_never_taken_for_a_whole_one() -> None:
    async def visit(client: httpx.AsyncClient, lane: EngineLane) -> None:
        assert len((await client.get("/stream?count=7")).content) == 7000
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/stream?count=7&fails_at=5")
        assert (await client.get("/stream?count=3")).status_code == 200

    with_service(visit)


def test_a_client_that_leaves_frees_the_lane() -> None:
    async def visit(client: httpx.AsyncClient, lane: EngineLane) -> None:
        async with client.stream("GET", "/stream?count=1000000") as answer:
            await anext(answer.aiter_raw())
            assert lane.busy == 1
        for _ in range(50):
            if not lane.busy:
                break
            await asyncio.sleep(0.01)
        assert lane.busy == 0

    with_service(visit)


def test_the_server_finishes_what_is_in_flight_before_it_stops() -> None:
    async def run() -> httpx.Response:
        app = FastAPI()
        started = asyncio.Event()

        @app.get("/slow")
        async def slow() -> str:
            started.set()
            await asyncio.sleep(0.3)
            return "done"

        async with httpx.AsyncClient() as client:
            async with serve(app, ServiceSettings()) as url:
                answer = asyncio.create_task(client.get(f"{url}/slow"))
                await started.wait()
            return await answer

    assert asyncio.run(run()).json() == "done"
