"""Films as jobs, over the running product."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest

from tests.processes import running_stack
from tests.stack.films import decode

SMALL = {"size": "128x128"}
TEXT = "Once there was a tower. Nobody knew who had built it. Every evening a lamp was lit."


@pytest.fixture
def api(stack: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{stack}/v1", api_key="sk-ann", max_retries=0) as client:
        yield client


def create(client: httpx.Client, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
    return client.post("/v1/videos", json={"prompt": "Hello there.", **SMALL, **fields}, headers=headers)


def finished(client: httpx.Client, job_id: str, within_s: float = 60) -> dict[str, Any]:
    for _ in range(int(within_s / 0.1)):
        job: dict[str, Any] = client.get(f"/v1/videos/{job_id}").json()
        if job["status"] in ("completed", "failed"):
            return job
        time.sleep(0.1)
    raise AssertionError(f"still {job['status']}")


def events(client: httpx.Client, job_id: str, last: str = "") -> list[dict[str, str]]:
    headers = {"Last-Event-ID": last} if last else {}
    told: list[dict[str, str]] = []
    with client.stream("GET", f"/v1/videos/{job_id}/events", headers=headers) as answer:
        assert answer.status_code == 200
        for block in answer.read().decode().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
            told += [fields] if fields else []
    return told


@pytest.mark.filterwarnings("ignore:The Sora API")
def test_openais_client_makes_a_film(api: openai.OpenAI) -> None:
    video = api.videos.create_and_poll(
        prompt=TEXT,
        model="sora-2",
        size="720x1280",
        seconds="4",
        poll_interval_ms=100,  # type: ignore[call-arg]
    )
    assert (video.status, video.progress, video.size, video.error) == ("completed", 100, "720x1280", None)
    assert video.model == "portrait"  # type: ignore[comparison-overlap]
    film = decode(api.videos.download_content(video.id).read())
    assert film.size == (720, 1280)
    assert float(video.seconds) == pytest.approx(film.video_s, abs=0.001)
    assert video.id in [listed.id for listed in api.videos.list(limit=5)]
    again = api.videos.remix(video.id, prompt=TEXT.replace("tower", "lighthouse"))
    assert again.remixed_from_video_id == video.id
    assert api.videos.poll(again.id, poll_interval_ms=100).status == "completed"
    assert api.videos.delete(video.id).deleted
    with pytest.raises(openai.NotFoundError):
        api.videos.retrieve(video.id)


def test_a_job_is_the_film_that_generate_makes(client: httpx.Client) -> None:
    job = create(client, prompt=TEXT, avatar="grace", voice="male").json()
    assert finished(client, job["id"])["status"] == "completed"
    made = client.get(f"/v1/videos/{job['id']}/content")
    assert made.headers["content-type"] == "video/mp4"
    asked = {"text": TEXT, "avatar": "grace", "voice": "male", **SMALL}
    assert made.content == client.post("/video/generate", json=asked).content


def test_progress_is_told_and_told_again(client: httpx.Client) -> None:
    job_id = create(client, prompt=TEXT * 4, size="256x256").json()["id"]
    told = events(client, job_id)
    assert [event["event"] for event in (told[0], told[-1])] == ["video.queued", "video.completed"]
    jobs = [json.loads(event["data"]) for event in told]
    assert {job["id"] for job in jobs} == {job_id}
    assert [job["progress"] for job in jobs] == sorted(job["progress"] for job in jobs)
    assert jobs[-1]["segments_total"] == jobs[-1]["segments_done"] == 12
    for number in (0, len(told) - 2):
        assert events(client, job_id, told[number]["id"]) == told[number + 1 :]
    assert events(client, job_id, told[-1]["id"]) == []


def test_scenes_make_one_film(client: httpx.Client) -> None:
    scenes = [
        {"text": "Good evening.", "avatar": "grace", "voice": "female", "background": "#00c040", "pause": 1.0},
        {"text": "Good evening to you, too.", "avatar": "omar", "voice": "male"},
        {"text": "And good night.", "avatar": "grace"},
    ]
    job = client.post("/v1/videos", json={"scenes": scenes, "size": "256x256"}).json()
    assert job["prompt"] == "Good evening.\n\nGood evening to you, too.\n\nAnd good night."
    assert finished(client, job["id"])["error"] is None
    film = decode(client.get(f"/v1/videos/{job['id']}/content").content)
    assert np.allclose(np.diff(film.times_s), 1 / 25)
    assert abs(film.sound_s - film.video_s) <= 1024 / 48_000
    cuts = [float(np.abs(after.astype(int) - before).mean()) for before, after in pairwise(film.frames)]
    assert sorted(np.argsort(cuts)[-2:]) == [place for place, cut in enumerate(cuts) if cut > 8]
    apart = client.post("/v1/videos", data={"scenes": json.dumps(scenes[1:2]), "size": "256x256"}).json()
    assert finished(client, apart["id"])["status"] == "completed"


def test_a_picture_speaks_in_a_job(client: httpx.Client) -> None:
    picture = client.get("/video/avatars/kenji/portrait").content
    answer = client.post(
        "/v1/videos", data={"prompt": "That is me.", **SMALL}, files={"input_reference": ("me.jpg", picture)}
    )
    assert answer.status_code == 200, answer.text
    assert finished(client, answer.json()["id"])["status"] == "completed"


def test_the_same_key_asks_once(client: httpx.Client) -> None:
    key = {"Idempotency-Key": "once"}
    first, again = create(client, key), create(client, key)
    assert first.json()["id"] == again.json()["id"]
    assert (first.headers.get("idempotency-replayed"), again.headers["idempotency-replayed"]) == (None, "true")
    other = create(client, key, prompt="Something else.")
    assert (other.status_code, other.json()["param"]) == (422, "Idempotency-Key")
    mine = create(client, {**key, "Authorization": "Bearer me"})
    assert mine.json()["id"] != first.json()["id"], "a key is its owner's"
    refused = {"Idempotency-Key": "refused"}
    assert create(client, refused, avatar="nobody").status_code == 404
    assert create(client, refused).status_code == 200, "nothing came of the first request"


def test_other_peoples_jobs_do_not_exist(client: httpx.Client) -> None:
    mine = {"Authorization": "Bearer me"}
    job_id = create(client, mine).json()["id"]
    assert client.get(f"/v1/videos/{job_id}", headers=mine).status_code == 200
    for headers in ({}, {"Authorization": "Bearer you"}):
        for method, path in (
            ("GET", ""),
            ("GET", "/content"),
            ("GET", "/events"),
            ("DELETE", ""),
            ("POST", "/remix"),
        ):
            body = {"prompt": "x"} if method == "POST" else None
            answer = client.request(method, f"/v1/videos/{job_id}{path}", headers=headers, json=body)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), (method, path)
        assert job_id not in [job["id"] for job in client.get("/v1/videos?limit=100", headers=headers).json()["data"]]


def test_jobs_are_listed_in_pages(client: httpx.Client) -> None:
    mine = {"Authorization": "Bearer lister"}
    made = [create(client, mine).json()["id"] for _ in range(3)]
    page = client.get("/v1/videos?limit=2", headers=mine).json()
    assert ([job["id"] for job in page["data"]], page["has_more"]) == ([made[2], made[1]], True)
    rest = client.get(f"/v1/videos?limit=2&after={page['last_id']}", headers=mine).json()
    assert ([job["id"] for job in rest["data"]], rest["has_more"]) == ([made[0]], False)
    oldest = client.get("/v1/videos?order=asc&limit=1", headers=mine).json()
    assert oldest["first_id"] == made[0]
    assert client.get("/v1/videos?after=video_x", headers=mine).status_code == 404


def test_a_job_that_is_called_off_ends(client: httpx.Client) -> None:
    job_id = create(client, prompt=TEXT * 40, size="512x512").json()["id"]
    for _ in range(100):
        if client.get(f"/v1/videos/{job_id}").json()["progress"] > 0:
            break
        time.sleep(0.1)
    early = client.get(f"/v1/videos/{job_id}/content")
    assert (early.status_code, early.json()["code"]) == (409, "conflict")
    assert int(early.headers["retry-after"]) >= 1
    deleted = client.delete(f"/v1/videos/{job_id}")
    assert deleted.json() == {"id": job_id, "object": "video.deleted", "deleted": True}
    assert client.get(f"/v1/videos/{job_id}").status_code == 404
    next_id = create(client).json()["id"]
    assert finished(client, next_id, within_s=20)["status"] == "completed"


def test_a_job_that_cannot_be_made_says_why(client: httpx.Client) -> None:
    job = finished(client, create(client, voice="nobody").json()["id"])
    assert job["status"] == "failed"
    assert "nobody" in job["error"]["message"]
    answer = client.get(f"/v1/videos/{job['id']}/content")
    assert (answer.status_code, "retry-after" in answer.headers) == (409, False)
    assert [event["event"] for event in events(client, job["id"])][-1] == "video.failed"


@pytest.mark.parametrize(
    ("fields", "status", "told"),
    [
        ({"prompt": ""}, 422, "prompt or scenes"),
        ({"prompt": "  "}, 422, "prompt or scenes"),
        ({"scenes": [{"text": "And more."}]}, 422, "prompt or scenes"),
        ({"prompt": "", "scenes": []}, 422, "prompt or scenes"),
        ({"prompt": "", "scenes": [{"text": "Hi."}] * 1_000}, 422, "1000 are more than 200"),
        ({"prompt": "", "scenes": [{"text": "Hi.", "colour": "red"}]}, 422, "colour"),
        ({"prompt": "", "scenes": [{"text": "Hi.", "pause": 61}]}, 422, "pause"),
        ({"prompt": "", "scenes": [{"text": "Hi.", "background": "red"}]}, 422, "background"),
        ({"prompt": "", "scenes": "[{"}, 422, "JSON list"),
        ({"prompt": "Hi. " * 6_000}, 413, "20000"),
        ({"avatar": "nobody"}, 404, "nobody"),
        ({"size": "10x10"}, 422, "size"),
        ({"priority": "now"}, 422, "priority"),
        ({"webhook_url": "https://example.com/hook"}, 422, "switched off"),
        ({"colour": "red"}, 422, "colour"),
    ],
)
def test_what_cannot_be_a_job_is_refused_at_once(
    client: httpx.Client, fields: dict[str, Any], status: int, told: str
) -> None:
    answer = create(client, **fields)
    assert (answer.status_code, told in answer.json()["detail"]) == (status, True), answer.text


def test_a_text_is_called_as_the_client_calls_it(client: httpx.Client) -> None:
    long = "Hi. " * 6_000
    job_id = create(client).json()["id"]
    answers = {
        "prompt": create(client, prompt=long),
        "scenes": create(client, prompt="", scenes=[{"text": long}]),
        "remix": client.post(f"/v1/videos/{job_id}/remix", json={"prompt": long}),
    }
    told = {name: answer.json()["param"] for name, answer in answers.items()}
    assert told == {"prompt": "prompt", "scenes": "scenes", "remix": "prompt"}


@pytest.mark.parametrize("path", ["", "/content", "/events"])
@pytest.mark.parametrize("job_id", ["video_1", "..%2F..%2Fetc%2Fpasswd", "a" * 500, "%00", "*"])
def test_unknown_jobs_are_not_found(client: httpx.Client, job_id: str, path: str) -> None:
    answer = client.get(f"/v1/videos/{job_id}{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("last", ["x", "1", "1-", "-1-0", "9" * 40 + "-0", "1-0; DROP"])
def test_a_malformed_last_event_id_is_refused(client: httpx.Client, last: str) -> None:
    job_id = create(client).json()["id"]
    answer = client.get(f"/v1/videos/{job_id}/events", headers={"Last-Event-ID": last})
    assert (answer.status_code, answer.json()["param"]) == (422, "Last-Event-ID")


def test_common_films_are_made_at_the_start(tmp_path: Path) -> None:
    film = {"text": "Welcome to all of you.", "avatar": "grace", **SMALL}
    listed = json.dumps([film, {"text": "Nobody says this.", "avatar": "nobody"}])
    environment = {"GATEWAY_PRERENDER": listed, "CACHE_DIR": str(tmp_path)}
    with running_stack(environment=environment) as url, httpx.Client(base_url=url, timeout=60) as client:
        for _ in range(200):
            if client.get("/tts/cache/stats").json()["cache_size"]:
                break
            time.sleep(0.1)
        hits = client.get("/tts/cache/stats").json()["hits"]
        assert client.post("/video/generate", json=film).status_code == 200
        assert client.get("/tts/cache/stats").json()["hits"] == hits + 1
