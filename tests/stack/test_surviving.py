"""Jobs survive the death of any process: each service apart, killed as a power cut would."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis

from tests.machines import Machines, ServiceProcess, running_machines

pytestmark = pytest.mark.timeout(300)

SENTENCES = [
    "Once there was a tower by the sea.",
    "Nobody knew who had built it.",
    "Every evening a lamp was lit at its top.",
    "The fishermen steered by it, and trusted it more than the stars.",
    "One night it stayed dark, and all the village came to look.",
]
STORY = " ".join(f"Chapter {number}. {' '.join(SENTENCES)}" for number in ("one", "two", "three"))
SOON_S = 15.0
"""Within this time after a death, the work goes on."""


def create(client: httpx.Client, text: str, **fields: Any) -> str:
    answer = client.post("/v1/videos", json={"prompt": text, "size": "384x384", **fields})
    assert answer.status_code == 200, answer.text
    job_id: str = answer.json()["id"]
    return job_id


def job_of(client: httpx.Client, job_id: str) -> dict[str, Any]:
    job: dict[str, Any] = client.get(f"/v1/videos/{job_id}").json()
    return job


def until(condition: Callable[[], bool], within_s: float = 120) -> float:
    """Return how long it took until `condition` was true."""
    began = time.monotonic()
    while time.monotonic() - began < within_s:
        if condition():
            return time.monotonic() - began
        time.sleep(0.05)
    raise AssertionError("it never came true")


def completed(client: httpx.Client, job_id: str) -> dict[str, Any]:
    until(lambda: job_of(client, job_id)["status"] in ("completed", "failed"))
    return job_of(client, job_id)


def film(client: httpx.Client, job_id: str) -> bytes:
    answer = client.get(f"/v1/videos/{job_id}/content")
    assert answer.status_code == 200, answer.text
    return answer.content


def undisturbed(machines: Machines, client: httpx.Client) -> bytes:
    """Return the film as it is made when nobody dies: of the same speech, and of pictures that are painted anew."""
    for avatar in machines.avatars:
        avatar.kill()
    redis = Redis(port=machines.redis.port)
    assert redis.delete(*redis.keys("video:segment:*")) > 0
    for file in machines.cache.glob("avatar.sqlite3*"):
        file.unlink()
    for avatar in machines.avatars:
        avatar.start()
    for avatar in machines.avatars:
        avatar.ready()
    until(lambda: client.get("/video/avatars").status_code == 200, within_s=20)
    answer = client.post("/video/generate", json={"text": STORY, "size": "384x384"}, timeout=120)
    assert answer.status_code == 200, answer.text
    return answer.content


@pytest.mark.parametrize("victim", ["worker", "avatar", "gateway"])
def test_a_film_is_the_same_whoever_dies_while_it_is_made(tmp_path: Path, victim: str) -> None:
    with running_machines(tmp_path, avatars=2, workers=2) as machines, client_of(machines) as client:
        job_id = create(client, STORY)
        until(lambda: job_of(client, job_id)["progress"] >= 15)
        before = job_of(client, job_id)
        assert before["status"] == "in_progress"
        died_at = time.monotonic()
        _kill(machines, victim)
        until(lambda: job_of(client, job_id)["segments_done"] > before["segments_done"])
        assert time.monotonic() - died_at < SOON_S
        job = completed(client, job_id)
        assert (job["status"], job["error"]) == ("completed", None)
        assert job["tries"] == (2 if victim == "worker" else 1)
        assert film(client, job_id) == undisturbed(machines, client)
        told = client.get(f"/v1/videos/{job_id}/events").text
        assert told.count("event: video.completed") == 1


def _kill(machines: Machines, victim: str) -> None:
    if victim == "worker":
        for worker in machines.workers:  # one of them has it
            worker.kill()
        machines.workers[0].start()
    elif victim == "avatar":
        machines.avatars[0].kill()
    else:
        machines.gateway.kill()
        machines.gateway.start()
        machines.gateway.ready()


def client_of(machines: Machines) -> httpx.Client:
    return httpx.Client(base_url=machines.gateway.url, timeout=60)


def test_twenty_jobs_outlive_redis(tmp_path: Path) -> None:
    with running_machines(tmp_path, avatars=1, workers=2) as machines, client_of(machines) as client:
        cached = {"input": "This was said before.", "response_format": "wav"}
        spoken = client.post("/v1/audio/speech", json=cached).content
        jobs = [create(client, f"This is film number {number}. {SENTENCES[number % 5]}") for number in range(20)]
        until(lambda: sum(job_of(client, job_id)["status"] == "completed" for job_id in jobs) >= 3)
        machines.redis.stop()
        for _ in range(10):
            assert client.post("/v1/audio/speech", json=cached).content == spoken, "a cached read does not need Redis"
            time.sleep(0.1)
        machines.redis.start()
        done = [completed(client, job_id) for job_id in jobs]
        assert [job["status"] for job in done] == ["completed"] * 20
        assert len({film(client, job_id) for job_id in jobs}) == 20
        for job_id in jobs:
            told = client.get(f"/v1/videos/{job_id}/events").text
            assert told.count("event: video.completed") == 1
        films = sorted(path.name for path in (tmp_path / "results" / "jobs").iterdir())
        assert films == sorted(f"{job_id}.mp4" for job_id in jobs)


def test_a_worker_that_is_told_to_stop_gives_back_what_it_has(tmp_path: Path) -> None:
    environment = {"GATEWAY_DRAIN_S": "0"}
    with running_machines(tmp_path, workers=1, environment=environment) as machines, client_of(machines) as client:
        job_id = create(client, STORY)
        until(lambda: job_of(client, job_id)["progress"] > 5)
        assert machines.workers[0].stop() == 0
        waiting = job_of(client, job_id)
        assert (waiting["status"], waiting["tries"]) == ("queued", 0)
        machines.workers[0].start()
        assert completed(client, job_id)["tries"] == 1
        assert film(client, job_id) == undisturbed(machines, client)


def test_a_worker_that_is_told_to_stop_finishes_what_is_short(tmp_path: Path) -> None:
    with running_machines(tmp_path, workers=1) as machines, client_of(machines) as client:
        job_id = create(client, " ".join(SENTENCES))
        until(lambda: job_of(client, job_id)["status"] == "in_progress")
        assert machines.workers[0].stop() == 0
        assert job_of(client, job_id)["status"] == "completed"


def test_a_job_that_kills_its_workers_is_given_up(tmp_path: Path) -> None:
    environment = {"GATEWAY_JOBS_TRIES": "2"}
    with running_machines(tmp_path, workers=1, environment=environment) as machines, client_of(machines) as client:
        job_id = create(client, STORY)
        for tries in (1, 2):
            until(lambda tries=tries: job_of(client, job_id)["tries"] == tries)  # type: ignore[misc]
            machines.workers[0].kill()
            machines.workers[0].start()
        job = completed(client, job_id)
        assert (job["status"], job["error"]["code"]) == ("failed", "gave_up")
        assert "tried 2 times" in job["error"]["message"]
        assert completed(client, create(client, "The next one is made."))["status"] == "completed"


def test_jobs_wait_for_services_that_are_away(tmp_path: Path) -> None:
    with running_machines(tmp_path) as machines, client_of(machines) as client:
        job_id = create(client, STORY)
        until(lambda: job_of(client, job_id)["progress"] > 5)
        machines.avatars[0].kill()
        until(lambda: job_of(client, job_id)["status"] == "queued")
        time.sleep(3)
        machines.avatars[0].start()
        job = completed(client, job_id)
        assert (job["status"], job["tries"]) == ("completed", 1)


def test_a_worker_can_be_asked_whether_it_lives(tmp_path: Path) -> None:
    with running_machines(tmp_path, workers=1) as machines:

        def checked() -> int:
            environment = os.environ | {"REDIS_URL": machines.redis.url}
            return subprocess.run(
                [sys.executable, "-m", "services.gateway.worker", "--check"], env=environment
            ).returncode

        until(lambda: checked() == 0, within_s=20)
        machines.workers[0].kill()
        until(lambda: checked() == 1, within_s=20)


def test_a_worker_without_redis_says_so(tmp_path: Path) -> None:
    worker = ServiceProcess("services.gateway.worker", {"REDIS_URL": ""}, None, tmp_path / "worker.log")
    worker.start()
    until(lambda: "set REDIS_URL" in worker.log, within_s=20)
    worker.kill()
