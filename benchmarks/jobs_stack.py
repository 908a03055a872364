"""Talkie as on many machines, for benchmarks: real processes on loopback, and clients of them."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import random
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from fastapi import FastAPI, Response
from redis.asyncio import Redis as AsyncRedis

from services.chassis.server import run_service
from services.chassis.settings import ServiceSettings
from tests.machines import Machines, ServiceProcess, free_port
from tests.redis import running_redis

Job = Mapping[str, Any]

SIZE = "128x128"
PACE_MS = 20.0
"""What a frame costs where nothing else is said."""

_POLLED_EVERY_S = 0.05
_PATIENCE_S = 600.0
_WORDS = (
    ("The fishermen", "Two old men", "The keepers", "Their children", "Some travellers", "The neighbours"),
    ("remembered", "painted", "described", "forgot", "admired", "repaired", "measured", "visited"),
    ("the tower", "a narrow bridge", "the empty harbour", "a wooden boat", "the lantern", "an open window"),
    ("in the morning", "before the storm", "at the end of summer", "without a word", "for many years", "by the sea"),
)


class Texts:
    """Texts of which no two have a sentence in common; the same ones every time."""

    def __init__(self) -> None:
        sentences = [f"{' '.join(words)}." for words in itertools.product(*_WORDS)]
        random.Random(7).shuffle(sentences)
        self._sentences = iter(sentences)

    def next(self, sentences: int) -> str:
        """Return the next text."""
        return " ".join(itertools.islice(self._sentences, sentences))


class Visitor:
    """A client that keeps its connection, and is light enough not to be what is measured."""

    def __init__(self, url: str) -> None:
        self._connection = HTTPConnection(urlsplit(url).netloc, timeout=_PATIENCE_S)

    def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, float, bytes]:
        """Return the status of an answer, after how many seconds to come again (0: it does not say), and its body."""
        sent = None if body is None else json.dumps(body).encode()
        self._connection.request(method, path, sent, {"Content-Type": "application/json", **(headers or {})})
        answer = self._connection.getresponse()
        return answer.status, float(answer.headers.get("Retry-After", 0)), answer.read()

    def post(self, ask: tuple[str, Mapping[str, Any]]) -> bytes:
        """Return the body of an answer; raises `RuntimeError` for a refusal."""
        status, _, told = self.ask("POST", *ask)
        if status != 200:
            raise RuntimeError(f"{ask[0]}: {status} {told[:500]!r}")
        return told

    def seconds(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> float:
        """Return how long an answer takes; raises `RuntimeError` for a refusal."""
        began = time.perf_counter()
        status, _, told = self.ask(method, path, body)
        took_s = time.perf_counter() - began
        if status != 200:
            raise RuntimeError(f"{path}: {status} {told[:500]!r}")
        return took_s


class WatchedProcess(ServiceProcess):
    """A service that can be asked how large it is."""

    def resident_mib(self) -> float:
        """Return how much memory it has now."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return int(next(line for line in status if line.startswith("VmRSS")).split()[1]) / 1024


@dataclass(frozen=True)
class Stack:
    """Everything running, and its client."""

    machines: Machines
    gateway: WatchedProcess
    http: httpx.Client
    folder: Path

    @property
    def url(self) -> str:
        """Where the API is."""
        return self.gateway.url

    def create(self, text: str, **fields: str) -> str:
        """Ask for a film, and return the job's id."""
        answer = self.http.post("/v1/videos", json={"prompt": text, "size": SIZE, **fields})
        job_id: str = answer.raise_for_status().json()["id"]
        return job_id

    def make(self, texts: Sequence[str], **fields: str) -> tuple[list[Job], float]:
        """Have films made, and return their jobs and how long all of them took together."""
        began = time.monotonic()
        jobs = self.finished([self.create(text, **fields) for text in texts])
        wall_s = time.monotonic() - began
        if failed := [job["error"] for job in jobs if job["status"] != "completed"]:
            raise RuntimeError(f"not completed: {failed}")
        return jobs, wall_s

    def finished(self, job_ids: Sequence[str]) -> list[Job]:
        """Return the jobs once they are over."""
        over: dict[str, Job] = {}

        def all_over() -> bool:
            listed = self.http.get("/v1/videos", params={"limit": 100}).json()["data"]
            over.update((job["id"], job) for job in listed if job["status"] in ("completed", "failed"))
            return over.keys() >= set(job_ids)

        _until(all_over)
        return [over[job_id] for job_id in job_ids]

    def segments_done(self, job_id: str) -> int:
        """Return how far a job is; -1 while nobody can tell."""
        with suppress(httpx.HTTPError):
            answer = self.http.get(f"/v1/videos/{job_id}", timeout=2)
            return int(answer.json()["segments_done"]) if answer.status_code == 200 else -1
        return -1

    def until_done(self, job_id: str, segments: int) -> None:
        """Return when at least so many segments of a job are done."""
        _until(lambda: self.segments_done(job_id) >= segments)

    def warm_up(self) -> None:
        """Have every replica make something: first requests load what later ones find."""
        sentences = ["This is the first film of all."] + ["There is nothing much to see."] * len(self.machines.avatars)
        self.make([" ".join(f"{number}: {sentence}" for number, sentence in enumerate(sentences * 2))])

    def start_standby(self) -> None:
        """Start the second worker, which has nothing to do yet."""
        standby = self.machines.workers[1]
        starts = standby.log.count("working on")
        standby.start()
        _until(lambda: standby.log.count("working on") > starts)

    def kill(self, victim: str) -> None:
        """End a process as a power cut would; gateway and Redis come again, as they do where they are looked after."""
        match victim:
            case "worker":
                self.machines.workers[0].kill()
                self.machines.workers.reverse()
            case "avatar":
                self.machines.avatars[0].kill()
            case "gateway":
                self.gateway.kill()
                self.gateway.start()
            case "redis":
                self.machines.redis.stop()
                time.sleep(1)
                self.machines.redis.start()

    def restore(self, victim: str) -> None:
        """Start again what is still dead."""
        if victim == "avatar":
            self.machines.avatars[0].start()
            self.machines.avatars[0].ready()

    @contextmanager
    def bare(self) -> Iterator[str]:
        """Serve the least that answers from the same Redis beside it, and give the URL."""
        port = free_port()
        app = multiprocessing.get_context("spawn").Process(target=_serve_bare, args=(self.machines.redis.url, port))
        app.start()
        try:
            _until(partial(_listens, port))
            yield f"http://127.0.0.1:{port}"
        finally:
            app.kill()
            app.join()


@contextmanager
def running(
    *,
    avatars: int,
    standby: bool = False,
    paced: bool = True,
    ms_per_frame: float = PACE_MS,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Stack]:
    """Run Talkie with nothing in its caches; `paced` avatar services sleep for every frame.

    With `standby` there is a second worker that has not been started.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        redis = stack.enter_context(running_redis(folder, durable=True))
        tts_port, gateway_port, *avatar_ports = (free_port() for _ in range(2 + avatars))
        shared = {
            "REDIS_URL": redis.url,
            "CACHE_DIR": str(folder / "cache"),
            "VIDEO_OUTPUT_DIR": str(folder / "results"),
            "AVATAR_PACK_DIR": str(folder / "packs"),
            "TTS_VOICES_DIR": str(folder / "voices"),
            "TTS_PORT": str(tts_port),
            "GATEWAY_PORT": str(gateway_port),
            "GATEWAY_TTS_URL": f"http://127.0.0.1:{tts_port}",
            "GATEWAY_AVATAR_URL": ",".join(f"http://127.0.0.1:{port}" for port in avatar_ports),
            "GATEWAY_JOBS_INSIDE": "false",
            "AVATAR_MS_PER_FRAME": str(ms_per_frame),
            **(environment or {}),
        }
        gateway = WatchedProcess("services.gateway", shared, gateway_port, folder / "gateway.log")
        tts = ServiceProcess("services.tts", shared, tts_port, folder / "tts.log")
        machines = Machines(redis, folder, gateway, [tts])
        for number, port in enumerate(avatar_ports):
            module, own = "benchmarks.paced_avatar" if paced else "services.avatar", {"AVATAR_PORT": str(port)}
            machines.avatars.append(ServiceProcess(module, shared | own, port, folder / f"avatar{number}.log"))
        for number in range(1 + standby):
            log = folder / f"worker{number}.log"
            machines.workers.append(ServiceProcess("services.gateway.worker", shared, None, log))
        listening = [tts, *machines.avatars, gateway]
        for service in machines.all:
            stack.callback(service.kill)
        for service in [*listening, machines.workers[0]]:
            service.start()
        for service in listening:
            service.ready()
        http = stack.enter_context(httpx.Client(base_url=gateway.url, timeout=60))
        yield Stack(machines, gateway, http, folder)


def _serve_bare(redis_url: str, port: int) -> None:
    app, kept = FastAPI(), AsyncRedis.from_url(redis_url)

    @app.get("/answer")
    async def answer(key: str) -> Response:
        return Response(await kept.get(key))

    run_service(app, ServiceSettings(port=port, log_level="WARNING"))


def _listens(port: int) -> bool:
    with socket.socket() as tried:
        return tried.connect_ex(("127.0.0.1", port)) == 0


def _until(condition: Callable[[], bool]) -> None:
    """Return once `condition` is true."""
    patient_until = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > patient_until:
            raise RuntimeError("it never came true")
        time.sleep(_POLLED_EVERY_S)
