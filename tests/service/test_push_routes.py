"""Speech pushed by a gateway, spoken by a real engine: the three ways to ask for it, and what is told of it."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import logging
import re
import wave
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request, Response

from services.chassis.server import serve
from services.chassis.settings import ServiceSettings
from services.gateway.app import create_app
from services.gateway.settings import GatewaySettings
from tests.machines import ServiceProcess, free_port
from tests.service.push_server import Manners, PushServer, push_server
from tests.service.pushing import settings_for

PATH = "/api/convert-tts/"
TEXT = "The first sentence is this one. The second sentence follows it."


@pytest.fixture(scope="module")
def tts_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a tts service in a process of its own."""
    port = free_port()
    service = ServiceProcess("services.tts", {"TTS_PORT": str(port)}, port, tmp_path_factory.mktemp("tts") / "log")
    service.start()
    try:
        service.ready()
        yield service.url
    finally:
        assert service.stop() == 0


def asked(**changes: Any) -> dict[str, Any]:
    return {"text": TEXT, "phoneId": "phone-1", "sessionId": "session-1", "requestId": "r1"} | changes


@asynccontextmanager
async def gateway(settings: GatewaySettings) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        serve(create_app(settings), settings) as url,
        httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client,
    ):
        yield client


def settings_of(tts_url: str, push_url: str = "", drain_s: float = 5, **changes: Any) -> GatewaySettings:
    return settings_for(push_url, tts_url=tts_url, enable_video=False, drain_s=drain_s, **changes)


@asynccontextmanager
async def both(tts_url: str, manners: Manners, **changes: Any) -> AsyncIterator[tuple[PushServer, httpx.AsyncClient]]:
    """Give a server, and a gateway that pushes to it."""
    async with push_server(manners) as server, gateway(settings_of(tts_url, server.url, **changes)) as client:
        yield server, client


def duration_s(wav: bytes) -> float:
    with wave.open(io.BytesIO(wav)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24_000, 1, 2)
        seconds = file.getnframes() / file.getframerate()
        assert len(file.readframes(file.getnframes())) == file.getnframes() * 2, "its header tells the truth"
    return seconds


async def events_of(client: httpx.AsyncClient, path: str) -> list[tuple[str, dict[str, Any]]]:
    text = (await client.get(path)).text
    return [(name, json.loads(data)) for name, data in re.findall(r"^event: (\w+)\ndata: (.+)$", text, re.MULTILINE)]


def refused(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert len(problem["detail"]) > 15
    return problem


@pytest.mark.parametrize("taken", [True, False])
def test_over_http_the_sound_is_in_the_answer_and_posted_on(tts_url: str, taken: bool) -> None:
    got: list[tuple[dict[str, Any], dict[str, str]]] = []
    receiver = FastAPI()

    @receiver.post("/files")
    async def files(request: Request) -> Response:
        got.append((await request.json(), dict(request.headers)))
        return Response(status_code=204 if taken else 500)

    async def visit() -> None:
        async with (
            serve(receiver, ServiceSettings(port=0, drain_s=1)) as url,
            gateway(settings_of(tts_url, push_http_url=f"{url}/files")) as client,
        ):
            answer = await client.post(PATH, json=asked(use_websocket=False))
            told = answer.json()
            assert answer.status_code == 200
            assert duration_s(base64.b64decode(told["audioDataBase64"])) == pytest.approx(told["duration"])
            assert told["duration"] > 2
            assert told["metadata"] == {
                "sessionId": "session-1",
                "requestId": "r1",
                "phoneId": "phone-1",
                "text": TEXT,
                "engine": "espeak",
                "language": told["metadata"]["language"],
            }
            assert (told["success"], answer.headers["x-talkie-engine"]) == (True, "espeak")
            assert told["posted"] == {"success": taken, "status": 204 if taken else 500, "error": None}
            [(body, headers)] = got
            assert body == {key: told[key] for key in ("audioDataBase64", "fileName", "metadata")}
            assert (headers["phone-id"], headers["session-id"]) == ("phone-1", "session-1")

    asyncio.run(visit())


def test_over_http_without_a_url_nothing_is_posted_and_one_that_is_away_is_told(tts_url: str) -> None:
    async def visit() -> None:
        async with gateway(settings_of(tts_url, push_transfer_method="http")) as client:
            told = (await client.post(PATH, json=asked())).json()
            assert (told["success"], told["posted"]) == (True, None)
        async with gateway(settings_of(tts_url, push_http_url="http://127.0.0.1:1/")) as client:
            told = (await client.post(PATH, json=asked(use_websocket=False))).json()
            assert (told["success"], told["posted"]["success"], told["posted"]["status"]) == (True, False, None)

    asyncio.run(visit())


@pytest.mark.parametrize("shares", [True, False])
def test_who_does_not_wait_is_answered_at_once_and_can_follow(tts_url: str, shares: bool) -> None:
    async def visit() -> None:
        async with both(tts_url, Manners(shares=shares)) as (server, client):
            answer = await client.post(PATH, json=asked(requestId="r:1"))
            told = answer.json()
            assert (answer.status_code, told["success"]) == (202, None)
            assert told["statusUrl"] == answer.headers["location"] == "/api/convert-tts/r%3A1"
            events = await events_of(client, told["eventsUrl"])
            assert {name for name, _ in events[:-1]} <= {"queued", "in_progress"}
            assert events[-1][0] == "completed"
            state = (await client.get(told["statusUrl"])).json()
            assert state == events[-1][1]
            assert (state["success"], state["chunksDelivered"]) == (True, state["totalChunks"])
            assert len(events) > 2, "it was told of while it went on"
            await server.until(lambda: server.ends("r:1"))
            sound = server.sound("r:1")
            assert sound[:4] == b"RIFF"
            assert len(sound) == state["bytesDelivered"] > 2 * 48_000
            assert server.visits[0].chunks("r:1")[0]["fileName"] == "r_1.wav"

    asyncio.run(visit())


def test_who_waits_is_told_how_it_went(tts_url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "services.gateway.push")

    async def visit() -> None:
        async with both(tts_url, Manners(closes_after=1), push_fire_and_forget=False) as (server, client):
            answer = await client.post(PATH, json=asked())
            state = answer.json()
            assert (answer.status_code, state["success"], state["status"]) == (200, True, "completed")
            assert (state["reconnects"], state["chunksDelivered"]) == (1, state["totalChunks"])
            assert 0 < state["transferSeconds"] < 30
            assert server.ends(), "all of it is there"
            counted = (await client.get("/metrics")).text
            assert 'talkie_push_transfers_total{outcome="completed"} 1.0' in counted
            assert "talkie_push_reconnects_total 1.0" in counted
            assert f"talkie_push_chunks_total {state['totalChunks']}.0" in counted
            assert "talkie_push_transfer_seconds_count 1.0" in counted
            assert "phone-1" not in counted

    asyncio.run(visit())
    lines = [record.getMessage() for record in caplog.records if record.name.endswith("push.progress")]
    assert all(re.match(r"push r1 \+\d+\.\d{3} s: ", line) for line in lines)
    told = " ".join(lines)
    assert all(event in told for event in ("begun", "sentence 1", "sending begun", "again in", "end sent", "all done"))


def test_who_waits_is_told_why_it_failed(tts_url: str) -> None:
    async def visit() -> None:
        manners = Manners(closes_after=1, never_pongs=True, times=99)
        async with both(tts_url, manners, push_max_retries=1) as (_, client):
            problem = refused(await client.post(PATH, json=asked(fire_and_forget=False)), 502)
            assert (problem["code"], problem["success"], problem["requestId"]) == ("delivery_failed", False, "r1")
            assert (problem["transfer"]["status"], problem["transfer"]["reconnects"]) == ("failed", 1)
            assert problem["transfer"]["error"]["message"] == problem["detail"]
            assert (await client.get(PATH + "r1")).json() == problem["transfer"]
            problem = refused(await client.post(PATH, json=asked(fire_and_forget=False, voice="nobody")), 422)
            assert (problem["code"], problem["success"]) == ("invalid_request", False)
            assert 'talkie_push_transfers_total{outcome="failed"} 2.0' in (await client.get("/metrics")).text

    asyncio.run(visit())


def test_what_is_not_configured_is_said(tts_url: str) -> None:
    async def visit() -> None:
        async with gateway(settings_of(tts_url)) as client:
            for forget in (True, False):
                problem = refused(await client.post(PATH, json=asked(fire_and_forget=forget)), 503)
                assert "ORASERVER_WEBSOCKET_URL" in problem["detail"]
            refused(await client.get(PATH + "r1"), 404)
            refused(await client.get(PATH + "r1/events"), 404)

    asyncio.run(visit())


def test_no_more_than_there_is_room_for_and_each_request_once(tts_url: str) -> None:
    async def visit() -> None:
        manners = Manners(never_reads=True, times=99)
        patient = {"drain_s": 1.0, "push_at_once": 1, "push_waiting": 1, "push_ack_timeout_s": 60.0}
        async with both(tts_url, manners, **patient) as (server, client):
            assert (await client.post(PATH, json=asked())).status_code == 202
            assert refused(await client.post(PATH, json=asked()), 409)["param"] == "requestId"
            assert (await client.post(PATH, json=asked(requestId="r2"))).json()["status"] == "queued"
            answer = await client.post(PATH, json=asked(requestId="r3"))
            assert int(answer.headers["retry-after"]) > 0
            assert refused(answer, 503)["code"] == "at_capacity"
            await server.until(lambda: server.visits)
        assert len(server.visits) == 1, "and a gateway that ends does not wait for a server that never will"

    asyncio.run(asyncio.wait_for(visit(), 20))


def test_what_is_under_way_is_finished_before_the_gateway_ends(tts_url: str) -> None:
    async def visit() -> None:
        async with push_server(Manners(reads_every_s=0.02)) as server:
            async with gateway(settings_of(tts_url, server.url)) as client:
                assert (await client.post(PATH, json=asked())).status_code == 202
            await server.until(server.ends)
            assert [end["status"] for end in server.ends()] == ["complete"]

    asyncio.run(visit())


BAD: list[tuple[dict[str, Any], int, str]] = [
    ({"text": ""}, 422, "text"),
    ({"text": " \n"}, 422, "text"),
    ({"text": "…!?"}, 422, "text"),
    ({"text": "word " * 2_000_000}, 413, "text"),
    ({"text": None}, 422, "text"),
    ({"text": "\ud800"}, 422, "text"),
    *(
        ({name: value}, 422, name)
        for name in ("phoneId", "sessionId", "requestId")
        for value in (
            "",
            None,
            7,
            "a\nb",
            "a\r\nx-evil: 1",
            "a\n",
            "a b",
            "\x00",
            "ü",
            "x" * 129,
        )
    ),
    ({"requestId": "../x"}, 422, "requestId"),
    ({"speed": 0}, 422, "speed"),
    ({"use_websocket": "perhaps"}, 422, "use_websocket"),
    ({"url": "ws://elsewhere"}, 422, "url"),
]


def test_bad_input_is_refused(tts_url: str) -> None:
    async def visit() -> None:
        async with both(tts_url, Manners()) as (server, client):
            for fields, status, param in BAD:
                answer = await client.post(
                    PATH, content=json.dumps(asked(**fields)), headers={"Content-Type": "application/json"}
                )
                assert refused(answer, status)["param"] == param, fields
            for name in ("text", "phoneId", "sessionId", "requestId"):
                body = asked()
                del body[name]
                assert refused(await client.post(PATH, json=body), 422)["param"] == name
            refused(await client.post(PATH, content=b"not JSON"), 422)
            assert server.visits == []

    asyncio.run(visit())


def test_the_names_of_existing_installations_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    old = {
        "ORASERVER_WEBSOCKET_URL": "wss://ora.example/speech",
        "ORASERVER_HTTP_URL": "https://ora.example/files",
        "WEBSOCKET_CHUNK_SIZE": "16384",
        "WEBSOCKET_MAX_RETRIES": "5",
        "DEFAULT_TRANSFER_METHOD": "http",
        "DEFAULT_FIRE_AND_FORGET": "false",
    }
    plain = GatewaySettings()
    assert (plain.push_websocket_url, plain.push_http_url) == ("", "")
    assert (plain.push_chunk_bytes, plain.push_max_retries) == (32_768, 3)
    assert (plain.push_transfer_method, plain.push_fire_and_forget) == ("websocket", True)
    for name, value in old.items():
        monkeypatch.setenv(name, value)
    read = GatewaySettings()
    assert (read.push_websocket_url, read.push_http_url) == tuple(list(old.values())[:2])
    assert (read.push_chunk_bytes, read.push_max_retries) == (16_384, 5)
    assert (read.push_transfer_method, read.push_fire_and_forget) == ("http", False)
    monkeypatch.setenv("ORASERVER_WEBSOCKET_URL", "http://ora.example")
    with pytest.raises(ValueError, match="WEBSOCKET_URL"):
        GatewaySettings()
