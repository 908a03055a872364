"""Webhooks, to a receiver that checks them as OpenAI's client does."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import openai
import pytest
from fastapi import FastAPI, Request, Response

from services.chassis.server import serve
from services.chassis.settings import ServiceSettings
from services.contract.errors import InvalidRequest
from services.contract.jobs import VideoJob
from services.gateway.jobs.memory import MemoryQueue, MemoryStore
from services.gateway.jobs.record import JobRecord
from services.gateway.jobs.tasks import WebhookTask, read_task, webhook_task
from services.gateway.jobs.webhooks import AGAIN_AFTER_S, Webhooks
from services.gateway.outside import Outside, is_any
from services.gateway.script import Scene, Script

SECRET = "whsec_" + base64.b64encode(b"a secret of twenty-four by").decode()
LATER = (webhook_task("video_1", "completed", 1), AGAIN_AFTER_S[0])
ANYWHERE = Outside(is_any, ("https", "http"))


@dataclass
class Receiver:
    """Takes webhooks, and answers as a test says."""

    status: int = 204
    waits_s: float = 0.0
    location: str = ""
    heard: list[tuple[bytes, dict[str, str]]] = field(default_factory=list)

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.post("/hook")
        async def hook(request: Request) -> Response:
            self.heard.append((await request.body(), dict(request.headers)))
            await asyncio.sleep(self.waits_s)
            return Response(status_code=self.status, headers={"Location": self.location} if self.location else {})

        return app


@asynccontextmanager
async def receiving() -> AsyncIterator[tuple[Receiver, str]]:
    receiver = Receiver()
    async with serve(receiver.app(), ServiceSettings(port=0, drain_s=1)) as url:
        yield receiver, f"{url}/hook"


async def store_with(url: str, status: str = "completed") -> MemoryStore:
    store = MemoryStore(MemoryQueue())
    job = VideoJob.model_validate(
        {
            "id": "video_1",
            "model": "card",
            "status": status,
            "progress": 0,
            "created_at": 1,
            "completed_at": int(time.time()),
            "size": "2x2",
            "seconds": "0",
            "prompt": "Hi.",
        }
    )
    await store.add(JobRecord(job=job, owner="ann", script=Script((Scene("Hi.", "ada"),)), webhook_url=url), "task")
    return store


@pytest.mark.parametrize("status", ["completed", "failed"])
def test_who_knows_the_secret_can_tell_who_sent_it(status: str) -> None:
    async def visit() -> None:
        async with receiving() as (receiver, url):
            webhooks = Webhooks(await store_with(url, status), ANYWHERE, SECRET)
            assert await webhooks.send(WebhookTask("video_1", status, 0)) is None
            [(body, headers)] = receiver.heard
            client = openai.OpenAI(api_key="x", webhook_secret=SECRET)
            event = client.webhooks.unwrap(body, headers)
            assert event.type == f"video.{status}"  # type: ignore[comparison-overlap]
            assert event.data.id == "video_1"  # type: ignore[union-attr]
            assert headers["webhook-id"] == event.id
            with pytest.raises(openai.InvalidWebhookSignatureError):
                client.webhooks.verify_signature(body + b" ", headers)
            await webhooks.send(WebhookTask("video_1", status, 1))
            assert receiver.heard[1][1]["webhook-id"] == event.id, "who hears it twice can tell"

    asyncio.run(visit())


@pytest.mark.parametrize("status", [301, 400, 410, 500, 503])
def test_what_is_not_heard_is_sent_again_later_and_later(status: int) -> None:
    async def visit() -> None:
        async with receiving() as (receiver, url):
            receiver.status = status
            receiver.location = "http://127.0.0.1:1/elsewhere" if status == 301 else ""
            webhooks = Webhooks(await store_with(url), ANYWHERE, SECRET)
            task = WebhookTask("video_1", "completed", 0)
            pauses: list[float] = []
            while (following := await webhooks.send(task)) is not None:
                pauses.append(following[1])
                again = read_task(following[0])
                assert isinstance(again, WebhookTask)
                task = again
            assert pauses == list(AGAIN_AFTER_S) == sorted(pauses)
            assert len(receiver.heard) == len(AGAIN_AFTER_S) + 1

    asyncio.run(visit())


def test_who_does_not_answer_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.gateway.jobs.webhooks._TIMEOUT_S", 0.2)

    async def visit() -> None:
        async with receiving() as (receiver, url):
            receiver.waits_s = 1.0
            webhooks = Webhooks(await store_with(url), ANYWHERE, SECRET)
            assert await webhooks.send(WebhookTask("video_1", "completed", 0)) == LATER
        webhooks = Webhooks(await store_with("http://127.0.0.1:1/hook"), ANYWHERE, SECRET)
        assert await webhooks.send(WebhookTask("video_1", "completed", 0)) == LATER

    asyncio.run(visit())


def test_nobody_is_told_before_it_is_true() -> None:
    async def visit() -> None:
        async with receiving() as (receiver, url):
            webhooks = Webhooks(await store_with(url, "in_progress"), ANYWHERE, SECRET)
            again = await webhooks.send(WebhookTask("video_1", "completed", 0))
            assert again is not None and again[0] == webhook_task("video_1", "completed"), "which is no try"
            webhooks = Webhooks(await store_with(url, "failed"), ANYWHERE, SECRET)
            assert await webhooks.send(WebhookTask("video_1", "completed", 0)) is None
            assert await webhooks.send(WebhookTask("video_2", "completed", 0)) is None
            assert receiver.heard == []

    asyncio.run(visit())


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/hook",
        "https://127.0.0.1/hook",
        "https://10.0.0.1/hook",
        "https://192.168.1.1:8443/hook",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/hook",
        "https://[::ffff:10.0.0.1]/hook",
        "https://localhost/hook",
        "https://no-such-host.invalid/hook",
        "https://user@127.0.0.1/hook",
        "ftp://example.com/hook",
        "https:///hook",
        "not a url",
        "https://[::1/hook",
        "https://example.com:99999/hook",
        "https://127.0.0.1/\x00a",
        "https://" + "a" * 70 + ".example/hook",
        "https://m\u00fcnchen.invalid/hook",
    ],
)
def test_private_addresses_are_refused(url: str) -> None:
    async def visit() -> None:
        with pytest.raises(InvalidRequest) as caught:
            await Webhooks(MemoryStore(MemoryQueue()), Outside(), SECRET).check(url)
        assert caught.value.param == "webhook_url"
        # An address may have become a private one since.
        webhooks = Webhooks(await store_with(url), Outside(), SECRET)
        assert await webhooks.send(WebhookTask("video_1", "completed", 0)) == LATER

    asyncio.run(visit())


def test_without_a_secret_there_are_none() -> None:
    async def visit() -> None:
        with pytest.raises(InvalidRequest, match="switched off"):
            await Webhooks(MemoryStore(MemoryQueue()), ANYWHERE, "").check("https://example.com")

    asyncio.run(visit())
    with pytest.raises(ValueError):
        Webhooks(MemoryStore(MemoryQueue()), ANYWHERE, "whsec_not base64!")
