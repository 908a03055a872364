"""A stack that is asked for far more than it can do says so, and stays what it is."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.machines import Machines, running_machines

pytestmark = pytest.mark.timeout(240)

CLIENTS = 200
SIZED_FOR_FOUR = {
    "AVATAR_LANES": "2",
    "AVATAR_MAX_WAITING": "2",
    "TTS_LANES": "2",
    "TTS_MAX_WAITING": "2",
    "GATEWAY_JOBS_OPEN": "4",
}
SAID_BEFORE = {"input": "This was said before.", "response_format": "wav"}


async def asked(client: httpx.AsyncClient, number: int) -> tuple[str, httpx.Response]:
    """Ask for one of several things, none of which was made before, except for what was."""
    kind = ("film", "speech", "job", "cached")[number % 4]
    words = f"This is client number {number}, who has waited for this all day long."
    requests: dict[str, tuple[str, dict[str, Any]]] = {
        "film": ("/video/generate", {"text": words, "size": "256x256"}),
        "speech": ("/v1/audio/speech", {"input": words, "response_format": "wav"}),
        "job": ("/v1/videos", {"prompt": words, "size": "128x128"}),
        "cached": ("/v1/audio/speech", SAID_BEFORE),
    }
    path, body = requests[kind]
    return kind, await client.post(path, json=body)


async def healthy(client: httpx.AsyncClient, done: asyncio.Event) -> list[int]:
    """Return what the health checks answered until `done`."""
    answers: list[int] = []
    while not done.is_set():
        answers.append((await client.get("/health/live")).status_code)
        await asyncio.sleep(0.05)
    return answers


async def rush(machines: Machines) -> tuple[list[tuple[str, httpx.Response]], list[int]]:
    limits = httpx.Limits(max_connections=CLIENTS + 10)
    async with httpx.AsyncClient(base_url=machines.gateway.url, timeout=120, limits=limits) as client:
        assert (await client.post("/v1/audio/speech", json=SAID_BEFORE)).status_code == 200
        done = asyncio.Event()
        checking = asyncio.create_task(healthy(client, done))
        answers = await asyncio.gather(*(asked(client, number) for number in range(CLIENTS)))
        done.set()
        return answers, await checking


def test_two_hundred_clients_at_once_are_served_or_told_when_to_come_back(tmp_path: Path) -> None:
    with running_machines(tmp_path, workers=1, environment=SIZED_FOR_FOUR) as machines:
        answers, health = asyncio.run(rush(machines))
        refused = [answer for _, answer in answers if answer.status_code != 200]
        assert {answer.status_code for answer in refused} <= {429, 503}
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
        served = Counter(kind for kind, answer in answers if answer.status_code == 200)
        assert served["cached"] == CLIENTS // 4, "what is cached needs nobody"
        assert served["job"] >= 4
        assert served["film"] + served["speech"] >= 4
        assert len(refused) > CLIENTS // 4, "it was far too much"
        assert set(health) == {200}
        with httpx.Client(base_url=machines.gateway.url, timeout=60) as client:
            assert client.post("/video/generate", json={"text": "And now it is quiet again."}).status_code == 200
