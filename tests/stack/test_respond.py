"""A language model's answer is spoken while it is written, and what it had said is, where it fails."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from websockets.asyncio.client import ClientConnection

from services.chassis.server import serve
from services.chassis.settings import ServiceSettings
from tests.gateways import gateway
from tests.live import TimedEngine, until
from tests.service.card import CardEngine
from tests.service.llm import ANSWER, IN_MID_SENTENCE, create_llm
from tests.stack.live_socket import FILM, PCM, RESPOND, VIDEO, Message, events, heard, say, socket_to, sound

SENTENCES = ["Well, hello there.", "It is 3.5 degrees today.", "Take a coat with you."]
AS_READ = ["Well, hello there.", "It is three point five degrees today.", "Take a coat with you."]
SPOKEN_IN_FULL_S = 0.2 * 3


@dataclass(frozen=True)
class Product:
    """A gateway with a language model, and what to look at."""

    client: httpx.AsyncClient
    url: str
    llm: FastAPI
    engine: TimedEngine


@asynccontextmanager
async def product(
    engine: TimedEngine | None = None, cards: CardEngine | None = None, **settings: object
) -> AsyncIterator[Product]:
    engine = engine or TimedEngine({})
    llm = create_llm()
    async with serve(llm, ServiceSettings(port=0)) as llm_url:
        told = {"llm_base_url": f"{llm_url}/v1", "llm_api_key": "secret", "llm_model": "parrot", **settings}
        async with (
            gateway(engine, cards, cache_enable=False, **told) as (url, _),
            httpx.AsyncClient(base_url=url, timeout=30) as client,
        ):
            engine.asked.clear()
            yield Product(client, url, llm, engine)


def ask(wish: str, **fields: object) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": wish}], "language": "English", "response_format": "pcm", **fields}


def events_of(answer: httpx.Response) -> list[dict[str, Any]]:
    lines = answer.text.splitlines()
    return [json.loads(line.removeprefix("data:")) for line in lines if line.startswith("data:")]


def test_the_answer_is_spoken_sentence_by_sentence() -> None:
    async def visit() -> None:
        async with product() as running:
            answer = await running.client.post("/v1/respond", json=ask("Hi", llm_options={"temperature": 0.5}))
            assert answer.status_code == 200
            assert sorted(running.engine.asked) == sorted(AS_READ)
            assert SPOKEN_IN_FULL_S < len(answer.content) / 48_000 < SPOKEN_IN_FULL_S + 1
            [asked] = running.llm.state.asked
            assert (asked["model"], asked["stream"], asked["temperature"]) == ("parrot", True, 0.5)
            assert (asked["messages"], asked["authorization"]) == ([{"role": "user", "content": "Hi"}], "Bearer secret")

    asyncio.run(visit())


def test_the_first_sentence_is_heard_before_the_last_one_is_written() -> None:
    async def visit() -> None:
        async with product() as running, running.client.stream("POST", "/v1/respond", json=ask("go silent")) as answer:
            await asyncio.wait_for(anext(answer.aiter_raw()), 10)
            assert running.llm.state.written < len(ANSWER.split())

    asyncio.run(visit())


def test_events_tell_what_is_written_and_what_is_heard() -> None:
    async def visit() -> None:
        async with product() as running:
            events = events_of(await running.client.post("/v1/respond", json=ask("Hi", stream_format="sse")))
            text = "".join(event["delta"] for event in events if event["type"] == "response.text.delta")
            assert text.strip() == ANSWER
            sound = b"".join(base64.b64decode(e["audio"]) for e in events if e["type"] == "speech.audio.delta")
            assert len(sound) / 48_000 > SPOKEN_IN_FULL_S
            assert events[-2] == {"type": "response.text.done", "text": text, "status": "completed"}
            assert events[-1] == {"type": "speech.audio.done"}

    asyncio.run(visit())


@pytest.mark.parametrize("misfortune", ["break off", "fail", "send rubbish", "go silent", "only stay awake"])
def test_what_was_said_before_the_model_failed_is_spoken_and_the_answer_ends(misfortune: str) -> None:
    async def visit() -> None:
        async with product(llm_silence_s=1.5 if misfortune in ("go silent", "only stay awake") else 30.0) as running:
            told = await running.client.post("/v1/respond", json=ask(misfortune, stream_format="sse"))
            *_, end, _ = events_of(told)
            assert (end["status"], end["error"]["code"]) == ("failed", "engine_failed")
            assert end["text"].split() == ANSWER.split()[:8]
            assert sorted(running.engine.asked) == sorted(AS_READ[:2])
            plain = await running.client.post("/v1/respond", json=ask(misfortune))
            assert len(plain.content) / 48_000 > 0.4

    asyncio.run(visit())


def test_an_answer_is_whole_where_the_model_says_so_in_its_last_words_only() -> None:
    async def visit() -> None:
        async with product() as running:
            told = await running.client.post("/v1/respond", json=ask("forget the end", stream_format="sse"))
            *_, end, _ = events_of(told)
            assert (end["status"], end["text"].split()) == ("completed", ANSWER.split())

    asyncio.run(visit())


@pytest.mark.parametrize(
    ("wish", "status", "told"),
    [
        ("misunderstand", 422, "too many messages"),
        ("refuse", 500, "answered 404; the log has the details"),
        ("be busy", 503, "no room"),
        ("say nothing", 500, "said nothing"),
    ],
)
def test_a_model_that_says_nothing_is_a_problem(wish: str, status: int, told: str) -> None:
    async def visit() -> None:
        async with product() as running:
            answer = await running.client.post("/v1/respond", json=ask(wish))
            assert (answer.status_code, told in answer.json()["detail"]) == (status, True)

    asyncio.run(visit())


def test_without_a_model_or_out_of_its_reach_it_is_unavailable() -> None:
    async def visit() -> None:
        async with product(llm_base_url="") as running:
            answer = await running.client.post("/v1/respond", json=ask("Hi"))
            assert (answer.status_code, "LLM_BASE_URL" in answer.json()["detail"]) == (503, True)
        async with product(llm_base_url="http://127.0.0.1:9/v1") as running:
            answer = await running.client.post("/v1/respond", json=ask("Hi"))
            assert (answer.status_code, "cannot be reached" in answer.json()["detail"]) == (503, True)

    asyncio.run(visit())


def test_answers_take_a_seat_each() -> None:
    async def visit() -> None:
        async with product(live_sessions=1) as running:
            async with running.client.stream("POST", "/v1/respond", json=ask("go silent")) as answer:
                await anext(answer.aiter_raw())
                refused = await running.client.post("/v1/respond", json=ask("Hi"))
                assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)
            await until(lambda: running.llm.state.left == 1)
            assert (await running.client.post("/v1/respond", json=ask("Hi"))).status_code == 200

    asyncio.run(visit())


@pytest.mark.parametrize("stream_format", ["audio", "sse"])
def test_a_listener_who_stays_and_reads_nothing_loses_the_seat(stream_format: str) -> None:
    async def visit() -> None:
        async with product(TimedEngine({}, streams=True, sound_s=60), live_stalled_s=0.5) as running:
            with socket.socket() as deaf:
                deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
                host, port = running.url.removeprefix("http://").split(":")
                deaf.connect((host, int(port)))
                body = json.dumps(ask("Hi", stream_format=stream_format)).encode()
                head = f"POST /v1/respond HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
                deaf.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
                await seats_taken(running, 1)
                await seats_taken(running, 0)

    asyncio.run(visit())


async def seats_taken(running: Product, count: int) -> None:
    """Return once so many seats are taken."""
    for _ in range(200):
        if f"talkie_live_sessions {count}.0" in (await running.client.get("/metrics")).text:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"there were never {count}")


@pytest.mark.parametrize("fields", [{"messages": []}, {"messages": "Hi"}, {"surprise": 1}, {"response_format": "midi"}])
def test_what_cannot_be_understood_is_refused(fields: dict[str, object]) -> None:
    async def visit() -> None:
        async with product() as running:
            answer = await running.client.post("/v1/respond", json=ask("Hi") | fields)
            assert (answer.status_code, answer.json()["param"].split(".")[0]) == (422, next(iter(fields)))

    asyncio.run(visit())


def test_a_listener_who_leaves_stops_the_model() -> None:
    async def visit() -> None:
        async with product() as running:
            async with running.client.stream("POST", "/v1/respond", json=ask("go silent")) as answer:
                await anext(answer.aiter_raw())
            await until(lambda: running.llm.state.left == 1)

    asyncio.run(visit())


async def respond(socket: ClientConnection, wish: str) -> None:
    await say(socket, type="respond", messages=[{"role": "user", "content": wish}])


def test_on_a_socket_the_answer_is_told_spoken_and_interrupted() -> None:
    async def visit() -> None:
        engine = TimedEngine(dict.fromkeys(SENTENCES[1:], 0.3))
        async with product(engine) as running, socket_to(running.url, RESPOND, **PCM) as socket:
            await respond(socket, "Hi")
            told = events(await heard(socket))
            assert told[-1]["total_sentences"] == 3
            [done] = [event for event in told if event["type"] == "response.text.done"]
            assert (done["text"].strip(), done["status"]) == (ANSWER, "completed")
            await respond(socket, "go silent")
            await heard(socket, "audio.done")
            await say(socket, type="interrupt")
            [told_last] = events(await heard(socket, "interrupted"), "interrupted")
            assert (told_last["sentence_text"], told_last["last_word"]) == (SENTENCES[0], "there.")
            await until(lambda: running.llm.state.left == 1)

    asyncio.run(visit())


@pytest.mark.parametrize("misfortune", ["break off", "fail", "send rubbish", "go silent"])
def test_on_a_socket_half_a_sentence_is_spoken_where_the_model_failed_in_it(misfortune: str) -> None:
    async def visit() -> None:
        silence_s = 0.5 if misfortune == "go silent" else 30.0
        async with product(llm_silence_s=silence_s) as running, socket_to(running.url, RESPOND, **PCM) as socket:
            await respond(socket, misfortune + IN_MID_SENTENCE)
            messages = await heard(socket)
            assert_failed_in_mid_sentence(messages, "audio.start")
            assert SPOKEN_IN_FULL_S * 2 / 3 < len(sound(messages)) / 48_000 < SPOKEN_IN_FULL_S * 2 / 3 + 0.5
            assert sorted(running.engine.asked) == ["It is three point five", AS_READ[0]]
            await respond(socket, "Hi")
            assert events(await heard(socket))[-1]["total_sentences"] == 3

    asyncio.run(visit())


def test_an_answer_is_shown_and_interrupted_too() -> None:
    async def visit() -> None:
        async with product(cards=CardEngine()) as running, socket_to(running.url, VIDEO, **FILM, idle=False) as socket:
            await respond(socket, "Hi")
            messages = await heard(socket)
            assert [event["sentence_text"] for event in events(messages, "video.start")] == SENTENCES
            assert "".join(event["delta"] for event in events(messages, "response.text.delta")).strip() == ANSWER
            assert [event["status"] for event in events(messages, "response.text.done")] == ["completed"]
            assert messages[-1]["total_sentences"] == 3
            await respond(socket, f"fail{IN_MID_SENTENCE}")
            assert_failed_in_mid_sentence(await heard(socket), "video.start")
            await respond(socket, "go silent")
            await heard(socket, "video.done")
            await say(socket, type="interrupt")
            assert (await heard(socket, "interrupted"))[-1]["utterance_index"] == 2
            await until(lambda: running.llm.state.left == 2)

    asyncio.run(visit())


def assert_failed_in_mid_sentence(messages: list[Message], begin: str) -> None:
    [done] = events(messages, "response.text.done")
    assert (done["status"], done["error"]["code"]) == ("failed", "engine_failed")
    assert done["text"].strip() == "Well, hello there. It is 3.5"
    assert [event["sentence_text"] for event in events(messages, begin)] == [SENTENCES[0], "It is 3.5"]
    last = events(messages)[-1]
    assert (last["total_sentences"], last["failed_sentences"]) == (2, 0)
