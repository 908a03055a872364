"""NewAvata's API on the running product, used as its documentation and its published client use it."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import httpx
import pytest

from tests.processes import running_stack
from tests.stack.films import decode

LONG = " ".join(f"This is sentence number {number}, and it is said slowly." for number in range(30))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    environment = {"VIDEO_OUTPUT_DIR": str(folder), "GATEWAY_RESULTS_KEPT_S": "4", "GATEWAY_FILMS_AT_ONCE": "1"}
    with running_stack(environment=environment | {"GATEWAY_FILMS_WAITING": "1"}) as url:
        yield url


@pytest.fixture
def newavata(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=100) as client:
        yield client


def events(client: httpx.Client, **body: Any) -> list[dict[str, Any]]:
    """Read the events as NewAvata's clients do: lines that begin with `data: `."""
    with client.stream("POST", "/api/v2/lipsync/stream", json=body) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        return [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: ")]


def test_the_synchronous_call(newavata: httpx.Client, folder: Path) -> None:
    answer = newavata.post("/api/v2/lipsync", json={"text": "Hello there.", "quality": "low"})
    told = answer.json()
    assert answer.status_code == 200
    assert set(told) == {"success", "video_path", "video_url", "elapsed", "persistent"}
    assert told["success"] is True
    assert told["persistent"] is False
    assert told["elapsed"] > 0
    assert told["video_path"].startswith(str(folder / "realtime"))
    film = decode(newavata.get(told["video_url"]).content)
    assert film.size == (640, 360)
    assert film.codecs == ("h264", "aac")
    part = newavata.get(told["video_url"], headers={"Range": "bytes=0-99"})
    assert (part.status_code, len(part.content)) == (206, 100)


def test_the_stream_of_events(newavata: httpx.Client) -> None:
    told = events(newavata, text="Hello there. How are you?", resolution="480p", frame_skip=2, tts_engine="espeak")
    assert [event.get("stage") for event in told] == ["tts", "tts_done", "lipsync", None]
    spoken, done = told[1], told[-1]
    assert done["type"] == "done"
    assert set(done) == {"type", "video_url", "audio_duration", "persistent", "elapsed"}
    assert set(done["elapsed"]) == {"tts", "lipsync", "total"}
    assert done["audio_duration"] == spoken["duration"]
    film = decode(newavata.get(done["video_url"]).content)
    assert film.size == (854, 480)
    assert film.video_s == pytest.approx(done["audio_duration"], abs=0.05)
    heard = newavata.get(spoken["audio_url"])
    assert heard.headers["content-type"] == "audio/wav"


def test_clients_of_other_engines_are_served_and_told(newavata: httpx.Client) -> None:
    told = events(newavata, text="Hello.", quality="low", tts_engine="cosyvoice", tts_voice="Custom")
    assert told[-1]["type"] == "done"
    assert "cosyvoice does not run here" in told[0]["message"]
    assert "Custom" in told[0]["message"]


def test_webm(newavata: httpx.Client) -> None:
    told = newavata.post("/api/v2/lipsync", json={"text": "Hello.", "quality": "low", "output_format": "webm"}).json()
    answer = newavata.get(told["video_url"])
    assert answer.headers["content-type"] == "video/webm"
    with av.open(io.BytesIO(answer.content)) as film:
        assert film.streams.video[0].codec_context.codec.canonical_name == "vp9"
        assert film.streams.audio[0].codec_context.codec.canonical_name == "opus"
        assert sum(1 for _ in film.decode(video=0)) > 20


def test_results_go_unless_they_are_to_stay(newavata: httpx.Client) -> None:
    ask = {"text": "Hello.", "quality": "low"}
    kept = newavata.post("/api/v2/lipsync", json=ask | {"persist": True}).json()["video_url"]
    rescued = newavata.post("/api/v2/lipsync", json=ask).json()["video_url"]
    saved = newavata.post("/api/video/save", json={"video_url": rescued}).json()
    assert saved["success"] is True
    going = newavata.post("/api/v2/lipsync", json=ask).json()["video_url"]
    assert newavata.get(going).status_code == 200
    time.sleep(4.5)
    assert newavata.get(going).status_code == 404
    assert newavata.get(kept).status_code == 200
    assert newavata.get(saved["saved_url"]).status_code == 200
    refused = newavata.post("/api/video/save", json={"video_url": going})
    assert (refused.status_code, refused.json()["success"]) == (404, False)


def test_what_there_is(newavata: httpx.Client) -> None:
    status = newavata.get("/api/v2/status").json()
    assert status["status"] == "ok"
    assert status["models_loaded"] is True
    avatars = newavata.get("/api/avatars").json()
    assert [avatar["id"] for avatar in avatars] == status["available_avatars"]
    assert {"id", "name"} <= set(avatars[0])
    engines = newavata.get("/api/tts_engines").json()
    assert [engine["id"] for engine in engines] == status["tts_engines"]
    assert {"id", "name", "voices", "default", "available"} <= set(engines[0])
    assert newavata.get("/video/tts_engines").json() == engines
    assert newavata.get("/video/avatars").json()["avatars"] == status["available_avatars"]


def test_errors_have_newavatas_shape(newavata: httpx.Client) -> None:
    for body in ({}, {"text": ""}, {"text": "Hello.", "frame_skip": 9}, {"text": "..."}):
        answer = newavata.post("/api/v2/lipsync", json=body)
        assert answer.status_code == 400, body
        assert answer.json()["success"] is False
        assert answer.json()["error"]
    for content in (b"{", b"[" * 100_000, json.dumps({"text": "a" * 300_000}).encode()):
        assert newavata.post("/api/v2/lipsync", content=content).status_code == 400
    unknown = newavata.post("/api/v2/lipsync", json={"text": "Hello.", "avatar": "nobody"})
    assert (unknown.status_code, unknown.json()["success"]) == (404, False)
    told = events(newavata, text="Hello.", avatar="nobody")
    assert told[-1]["type"] == "error"
    assert "nobody" in told[-1]["message"]
    assert newavata.get("/video/nothing_00000000.mp4").status_code == 404
    assert newavata.get("/video/..%2F..%2Fetc%2Fpasswd").status_code == 404


def test_load_is_told_and_requests_are_called_off(newavata: httpx.Client, url: str) -> None:
    idle = newavata.get("/api/availability").json()
    assert (idle["available"], idle["availability"], idle["max_concurrent"]) == (True, "available", 1)
    seen: dict[str, list[dict[str, Any]]] = {}

    def watch(sid: str) -> None:
        with httpx.Client(base_url=url, timeout=100) as client:
            seen[sid] = events(client, text=LONG, sid=sid)

    threads = [threading.Thread(target=watch, args=(sid,)) for sid in ("one", "two")]
    for number, thread in enumerate(threads, 1):
        thread.start()
        until(newavata, lambda load, number=number: load["processing_count"] + load["queue_length"] == number)
    full = newavata.get("/api/availability").json()
    assert (full["available"], full["availability"], full["recommendation"]) == (
        False,
        "overloaded",
        "use_other_service",
    )
    assert full["estimated_wait_seconds"] > 0
    assert newavata.get("/api/queue_status").json() == {"processing_count": 1, "queue_length": 1, "max_concurrent": 1}
    refused = newavata.post("/api/v2/lipsync", json={"text": "Hello."})
    assert (refused.status_code, refused.json()["success"]) == (503, False)
    assert int(refused.headers["Retry-After"]) > 0
    cancelled = newavata.post("/api/cancel", json={"sid": "two"}).json()
    assert cancelled == {"status": "cancelled", "removed_from_queue": True}
    assert newavata.post("/api/cancel", json={"sid": "one"}).json()["removed_from_queue"] is False
    for thread in threads:
        thread.join(20)
    assert [event["type"] for event in seen["two"]] == ["status", "error"]
    assert "Waiting" in seen["two"][0]["message"]
    assert seen["two"][0]["sid"] == "two"
    assert seen["one"][-1]["type"] == "error"
    until(newavata, lambda load: load["processing_count"] == 0)
    assert newavata.post("/api/cancel", json={"sid": "one"}).status_code == 404
    assert newavata.post("/api/v2/lipsync", json={"text": "Hello.", "quality": "low"}).status_code == 200


def until(client: httpx.Client, holds: Any) -> None:
    for _ in range(200):
        if holds(client.get("/api/queue_status").json()):
            return
        time.sleep(0.05)
    pytest.fail(str(client.get("/api/queue_status").json()))


def test_our_own_client_knows_our_own_server(url: str) -> None:
    environment = {"USE_NEWAVATA_API": "true", "NEWAVATA_API_URL": url}
    with running_stack(environment=environment) as second, httpx.Client(base_url=second, timeout=100) as client:
        film = client.post("/video/generate", json={"text": "Hello there.", "quality": "low"})
        assert film.status_code == 200
        assert film.headers["X-Talkie-Engine"] == "newavata"
        assert decode(film.content).size == (640, 360)
        assert client.get("/video/status").json()["video_engine"] == "newavata"
        assert client.get("/api/avatars").json() == httpx.get(f"{url}/api/avatars").json()
        told = events(client, text="Hello.", quality="low")
        assert told[-1]["type"] == "done"
        part = client.get(told[-1]["video_url"], headers={"Range": "bytes=0-99"})
        assert (part.status_code, len(part.content)) == (206, 100)
        refused = client.post("/api/v2/lipsync", json={"text": ""})
        assert (refused.status_code, refused.json()["success"]) == (400, False)
        assert client.get("/video/avatars/maya/portrait").status_code == 503
