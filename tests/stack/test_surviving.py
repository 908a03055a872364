"""Jobs survive the death of any process: each service apart, killed as a power cut would."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis

from tests.machines import Machines, ServiceProcess, running_machines

pytestmark = pytest.mark.timeout(300)

SIZE = "128x128"
SENTENCES = [
    "Once there was a {} by the sea.",
    "Nobody knew who had built the {}.",
    "Every evening a lamp was lit at the top of the {}.",
    "The fishermen steered by the {}, and trusted it more than the stars.",
    "One night the {} stayed dark, and all the village came to look.",
]
SOON_S = 15.0
"""Within this time after a death, the work goes on."""


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """Two of whatever there may be several of, for all tests here."""
    with running_machines(tmp_path_factory.mktemp("machines"), avatars=2, workers=2) as machines:
        yield machines


@pytest.fixture
def machines(started: Machines) -> Machines:
    """All of them, whoever died in the test before."""
    dead = [service for service in started.all if not service.running]
    for service in dead:
        service.start()
    for service in dead:
        if service.port is not None:
            service.ready()
    return started


@pytest.fixture
def client(machines: Machines) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=machines.gateway.url, timeout=60) as client:
        yield client


def story_of(building: str) -> str:
    """Return a text of which no other test has anything in the caches."""
    chapters = (f"Chapter {number} of the {{}}. {' '.join(SENTENCES)}" for number in ("one", "two"))
    return " ".join(chapters).replace("{}", building)


def only_worker(machines: Machines, **environment: str) -> ServiceProcess:
    """Return the one worker that is left, which sees `environment`."""
    for worker in machines.workers:
        worker.kill()
    machines.workers[0].start(**environment)
    return machines.workers[0]


def create(client: httpx.Client, text: str) -> str:
    answer = client.post("/v1/videos", json={"prompt": text, "size": SIZE})
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


def undisturbed(machines: Machines, client: httpx.Client, text: str) -> bytes:
    """Return the film of `text` as it is made when nobody dies: the same speech, and pictures painted anew."""
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
    answer = client.post("/video/generate", json={"text": text, "size": SIZE}, timeout=120)
    assert answer.status_code == 200, answer.text
    return answer.content


@pytest.mark.parametrize("victim", ["worker", "avatar", "gateway"])
def test_a_film_is_the_same_whoever_dies_while_it_is_made(
    machines: Machines, client: httpx.Client, victim: str
) -> None:
    text = story_of(f"{victim}'s tower")
    job_id = create(client, text)
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
    assert film(client, job_id) == undisturbed(machines, client, text)
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


def test_twenty_jobs_outlive_redis(machines: Machines, client: httpx.Client) -> None:
    earlier = set(machines.films.glob("*"))
    cached = {"input": "This was said before.", "response_format": "wav"}
    spoken = client.post("/v1/audio/speech", json=cached).content
    texts = (f"This is film number {number}. {SENTENCES[number % 5].format('windmill')}" for number in range(20))
    jobs = [create(client, text) for text in texts]
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
    films = sorted(file.name for file in set(machines.films.iterdir()) - earlier)
    assert films == sorted(f"{job_id}.mp4" for job_id in jobs)


def test_a_worker_that_is_told_to_stop_gives_back_what_it_has(machines: Machines, client: httpx.Client) -> None:
    worker, text = only_worker(machines, GATEWAY_DRAIN_S="0"), story_of("castle")
    job_id = create(client, text)
    until(lambda: job_of(client, job_id)["progress"] > 5)
    assert worker.stop() == 0
    waiting = job_of(client, job_id)
    assert (waiting["status"], waiting["tries"]) == ("queued", 0)
    worker.start()
    assert completed(client, job_id)["tries"] == 1
    assert film(client, job_id) == undisturbed(machines, client, text)


def test_a_worker_that_is_told_to_stop_finishes_what_is_short(machines: Machines, client: httpx.Client) -> None:
    worker = only_worker(machines)
    job_id = create(client, " ".join(SENTENCES).replace("{}", "chapel"))
    until(lambda: job_of(client, job_id)["status"] == "in_progress")
    assert worker.stop() == 0
    assert job_of(client, job_id)["status"] == "completed"


def test_a_job_that_kills_its_workers_is_given_up(machines: Machines, client: httpx.Client) -> None:
    worker = only_worker(machines, GATEWAY_JOBS_TRIES="2")
    job_id = create(client, story_of("prison"))
    for tries in (1, 2):
        until(lambda tries=tries: job_of(client, job_id)["tries"] == tries)  # type: ignore[misc]
        worker.kill()
        worker.start(GATEWAY_JOBS_TRIES="2")
    job = completed(client, job_id)
    assert (job["status"], job["error"]["code"]) == ("failed", "gave_up")
    assert "tried 2 times" in job["error"]["message"]
    assert completed(client, create(client, "The next one is made."))["status"] == "completed"
    worker.kill()  # the next test wants one that tries as often as others


def test_jobs_wait_for_services_that_are_away(machines: Machines, client: httpx.Client) -> None:
    job_id = create(client, story_of("harbour"))
    until(lambda: job_of(client, job_id)["progress"] > 5)
    for avatar in machines.avatars:
        avatar.kill()
    until(lambda: job_of(client, job_id)["status"] == "queued")
    time.sleep(3)
    machines.avatars[0].start()
    job = completed(client, job_id)
    assert (job["status"], job["tries"]) == ("completed", 1)


def test_a_worker_can_be_asked_whether_it_lives(machines: Machines) -> None:
    def checked() -> int:
        environment = os.environ | {"REDIS_URL": machines.redis.url}
        return subprocess.run([sys.executable, "-m", "services.gateway.worker", "--check"], env=environment).returncode

    until(lambda: checked() == 0, within_s=20)
    for worker in machines.workers:
        worker.kill()
    until(lambda: checked() == 1, within_s=20)


def test_a_worker_without_redis_says_so(tmp_path: Path) -> None:
    worker = ServiceProcess("services.gateway.worker", {"REDIS_URL": ""}, None, tmp_path / "worker.log")
    worker.start()
    until(lambda: "set REDIS_URL" in worker.log, within_s=20)
    worker.kill()
