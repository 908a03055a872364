"""How jobs fare: with more replicas, when something dies, from the cache, and when everybody comes at once.

    python -m benchmarks.jobs [--only jobs_replicas]

All of it over real processes on loopback. Where replicas are counted the avatar services sleep for every frame
instead of working, so that two cores can hold four of them; what is measured is what Talkie adds.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import multiprocessing
import random
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from redis import Redis

from benchmarks.report import report
from tests.machines import Machines, ServiceProcess, free_port
from tests.redis import running_redis

Row = dict[str, Any]

FPS = 25
SIZE = "128x128"
_POLLED_EVERY_S = 0.05
_PATIENCE_S = 600.0
_KEY = "bare:answer:" + "0" * 64
"""As long as the gateway's own keys."""

_PARTS_OF_SPEECH = (
    ("The fishermen", "Two old men", "The keepers", "Their children", "Some travellers", "The neighbours"),
    ("remembered", "painted", "described", "forgot", "admired", "repaired", "measured", "visited"),
    ("the tower", "a narrow bridge", "the empty harbour", "a wooden boat", "the lantern", "an open window"),
    ("in the morning", "before the storm", "at the end of summer", "without a word", "for many years", "by the sea"),
)


@dataclass(frozen=True)
class Amounts:
    """How much of everything is measured."""

    replicas: Sequence[int] = (1, 2, 4)
    jobs: int = 12
    sentences: int = 7
    ms_per_frame: float = 20.0
    long_sentences: int = 235
    """About ten minutes of them."""
    long_ms_per_frame: float = 8.0
    deaths: int = 3
    mortal_sentences: int = 16
    overhead_sentences: Sequence[int] = (10, 40)
    hits: int = 500
    misses: int = 20
    film_hits: int = 100
    film_misses: int = 10
    clients: int = 200
    siege_s: float = 20.0


def main() -> None:
    """Measure, print the tables and keep them."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--only", choices=PARTS, help="measure only this")
    only = arguments.parse_args().only
    for name in [only] if only else PARTS:
        report(name, PARTS[name](Amounts()))


def replicas(amounts: Amounts) -> list[Row]:
    """Many jobs at once, with more and more avatar replicas."""
    texts = Texts()
    scripts = [texts.next(amounts.sentences) for _ in range(amounts.jobs)]
    rows: list[Row] = []
    for number in amounts.replicas:
        with running(avatars=number, ms_per_frame=amounts.ms_per_frame) as stack:
            stack.warm_up(texts)
            jobs, wall_s = stack.make(scripts, priority="batch")
        engine_s = sum(float(job["seconds"]) for job in jobs) * FPS * amounts.ms_per_frame / 1000
        per_min = 60 * amounts.jobs / wall_s
        row = {
            "replicas": number,
            "jobs": amounts.jobs,
            "segments": sum(job["segments_total"] for job in jobs),
            "wall_s": wall_s,
            "jobs_per_min": per_min,
            "against_one": per_min / rows[0]["jobs_per_min"] if rows else 1.0,
            "replicas_busy": engine_s / (wall_s * number),
        }
        rows.append(row)
    return rows


def long_film(amounts: Amounts) -> list[Row]:
    """One film of ten minutes, on one replica and on four."""
    texts = Texts()
    script = texts.next(amounts.long_sentences)
    rows: list[Row] = []
    for number in (1, 4):
        with running(avatars=number, ms_per_frame=amounts.long_ms_per_frame) as stack:
            stack.warm_up(texts)
            [job], wall_s = stack.make([script])
        engine_s = float(job["seconds"]) * FPS * amounts.long_ms_per_frame / 1000
        row = {
            "replicas": number,
            "film_s": float(job["seconds"]),
            "segments": job["segments_total"],
            "wall_s": wall_s,
            "against_one": wall_s / rows[0]["wall_s"] if rows else 1.0,
            "replicas_busy": engine_s / (wall_s * number),
        }
        rows.append(row)
    return rows


def recovery(amounts: Amounts) -> list[Row]:
    """How long nothing is heard of a job after something has died, and whether it was completed."""
    return [_recovery(victim, amounts) for victim in ("nobody", "worker", "avatar", "gateway", "redis")]


def _recovery(victim: str, amounts: Amounts) -> Row:
    silences_s: list[float] = []
    jobs: list[Mapping[str, Any]] = []
    texts = Texts()
    with running(avatars=2, workers=2, started_workers=1, ms_per_frame=amounts.ms_per_frame) as stack:
        stack.warm_up(texts)
        for _ in range(amounts.deaths):
            job_id = stack.create(texts.next(amounts.mortal_sentences))
            stack.until(lambda job_id=job_id: stack.segments_done(job_id) >= 3)  # type: ignore[misc]
            if victim == "worker":
                stack.start_standby()
            done = stack.segments_done(job_id)
            died_at = time.monotonic()
            stack.kill(victim)
            stack.until(lambda job_id=job_id, done=done: stack.segments_done(job_id) > done)  # type: ignore[misc]
            silences_s.append(time.monotonic() - died_at)
            jobs += stack.finished([job_id])
            stack.restore(victim)
    return {
        "killed": victim,
        "times": amounts.deaths,
        "next_segment_median_s": statistics.median(silences_s),
        "next_segment_worst_s": max(silences_s),
        "completed": sum(job["status"] == "completed" for job in jobs),
        "tries": max(job["tries"] for job in jobs),
    }


def overhead(amounts: Amounts) -> list[Row]:
    """What a job takes beside its engine's time, and what each further segment adds to that."""
    texts = Texts()
    rows: list[Row] = []
    with running(avatars=1, ms_per_frame=amounts.ms_per_frame) as stack:
        stack.warm_up(texts)
        for sentences in amounts.overhead_sentences:
            [job], wall_s = stack.make([texts.next(sentences)])
            engine_s = float(job["seconds"]) * FPS * amounts.ms_per_frame / 1000
            rows.append(_overhead(f"a job of {sentences} sentences", job["segments_total"], wall_s, engine_s))
    short, long = rows[0], rows[-1]
    deltas = [long[name] - short[name] for name in ("segments", "wall_s", "engine_s")]
    return [*rows, _overhead("what the longer one has more", *deltas)]


def _overhead(what: str, segments: int, wall_s: float, engine_s: float) -> Row:
    per_segment_ms = 1000 * (wall_s - engine_s) / segments
    row = {"what": what, "segments": segments, "wall_s": wall_s, "engine_s": engine_s}
    return row | {"beside_s": wall_s - engine_s, "beside_per_segment_ms": per_segment_ms}


def cached(amounts: Amounts) -> list[Row]:
    """The same answers again and again, beside an app that only reads them from Redis."""
    texts = Texts()
    with running(avatars=1, paced=False) as stack, stack.bare() as bare:

        def speech(text: str) -> Mapping[str, Any]:
            return {"input": text, "response_format": "mp3"}

        def film(text: str) -> Mapping[str, Any]:
            return {"text": text, "size": "512x512"}

        stack.warm_up(texts)
        rows: list[Row] = []
        for name, path, sentences, body, hits, misses in (
            ("speech, one sentence", "/v1/audio/speech", 1, speech, amounts.hits, amounts.misses),
            ("speech, ten sentences", "/v1/audio/speech", 10, speech, amounts.hits, amounts.misses),
            ("film, two sentences", "/video/generate", 2, film, amounts.film_hits, amounts.film_misses),
        ):
            bodies = [body(texts.next(sentences)) for _ in range(misses)]
            visitor = Visitor(stack.url)
            missed_s = [visitor.seconds("POST", path, asked) for asked in bodies]
            kept = visitor.answer("POST", path, bodies[0])
            Redis(port=stack.machines.redis.port).set(_KEY, kept)
            for clients in (1, 8):
                both = _hits(stack.url, bare, path, bodies[0], clients, hits)
                rows.append(_cached(name, clients, len(kept), missed_s, *both))
    return rows


def _hits(
    url: str, bare: str, path: str, body: Mapping[str, Any], clients: int, hits: int
) -> tuple[list[float], list[float]]:
    """Return how long the gateway and the bare app took, asked in turn by each client."""

    def visit(_: int) -> list[tuple[float, float]]:
        ours, theirs = Visitor(url), Visitor(bare)
        both = [(ours.seconds("POST", path, body), theirs.seconds("GET", f"/answer?key={_KEY}")) for _ in range(rounds)]
        return both[warming:]

    warming = 20 if clients == 1 else 5
    rounds = warming + -(-hits // clients)
    with ThreadPoolExecutor(clients) as threads:
        pairs = [pair for visits in threads.map(visit, range(clients)) for pair in visits]
    return [ours for ours, _ in pairs], [theirs for _, theirs in pairs]


def _cached(
    what: str, clients: int, size: int, missed_s: Sequence[float], hit_s: Sequence[float], bare_s: Sequence[float]
) -> Row:
    return {
        "what": what,
        "clients": clients,
        "bytes": size,
        "hit_p50_ms": 1000 * at(hit_s, 0.5),
        "hit_p99_ms": 1000 * at(hit_s, 0.99),
        "bare_p50_ms": 1000 * at(bare_s, 0.5),
        "bare_p99_ms": 1000 * at(bare_s, 0.99),
        "hit_to_bare": at(hit_s, 0.5) / at(bare_s, 0.5),
        "miss_p50_ms": 1000 * at(missed_s, 0.5),
        "miss_to_hit": at(missed_s, 0.5) / at(hit_s, 0.5),
    }


def load(amounts: Amounts) -> list[Row]:
    """Far more clients than there is room for: those that come again when they are told to, and those that do not."""
    return [_siege(amounts, patient=patient) for patient in (True, False)]


def _siege(amounts: Amounts, *, patient: bool) -> Row:
    small = {"AVATAR_LANES": "2", "AVATAR_MAX_WAITING": "2", "TTS_LANES": "4", "TTS_MAX_WAITING": "4"}
    small |= {"GATEWAY_JOBS_WAITING": "16", "GATEWAY_JOBS_WAITING_EACH": "6"}
    with running(avatars=1, ms_per_frame=amounts.ms_per_frame, environment=small) as stack:
        stack.warm_up(Texts())
        visitor, gateway = Visitor(stack.url), stack.gateway
        visitor.answer("POST", *KNOWN)
        memory_mib, alive_s, hit_s = [gateway.resident_mib()], [], []
        # Apart from here, so that who looks at the clock need not wait for the crowd's own work.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as crowd:
            crowd.submit(time.sleep, 0).result()
            began = time.monotonic()
            crowding = crowd.submit(besiege, stack.url, amounts.clients, amounts.siege_s, patient=patient)
            while time.monotonic() - began < amounts.siege_s:
                alive_s.append(visitor.seconds("GET", "/health/live"))
                hit_s.append(visitor.seconds("POST", *KNOWN))
                if len(memory_mib) == 1 and time.monotonic() - began > amounts.siege_s / 2:
                    memory_mib.append(gateway.resident_mib())
                time.sleep(_POLLED_EVERY_S)
            answers = crowding.result()
        memory_mib.append(gateway.resident_mib())
    told = {kind: _counts(answers.statuses[kind]) for kind in KINDS}
    return {
        "come_again": "when told to" if patient else "at once",
        **told,
        "unexplained": answers.unexplained,
        "start_mib": memory_mib[0],
        "middle_mib": memory_mib[1],
        "end_mib": memory_mib[2],
        "alive_p50_ms": 1000 * at(alive_s, 0.5),
        "alive_p99_ms": 1000 * at(alive_s, 0.99),
        "hit_p50_ms": 1000 * at(hit_s, 0.5),
        "hit_p99_ms": 1000 * at(hit_s, 0.99),
    }


KINDS = ("generate", "speech", "known_speech", "jobs")
KNOWN: tuple[str, Mapping[str, Any]] = ("/v1/audio/speech", {"input": "This was said before."})


@dataclass
class Answers:
    """What clients were told, by what they asked for."""

    statuses: dict[str, Counter[int]] = field(default_factory=lambda: {kind: Counter() for kind in KINDS})
    unexplained: int = 0
    """Errors that are no refusal, or do not say when to come back."""


def besiege(url: str, clients: int, for_s: float, *, patient: bool) -> Answers:
    """Ask for all kinds of things at once, each client one after the other."""
    answers = Answers()

    async def client(http: httpx.AsyncClient, number: int, until: float) -> None:
        kind = KINDS[number % len(KINDS)]
        for turn in itertools.count():
            if time.monotonic() > until:
                return
            path, body = _asked(kind, f"Visitor {number} says sentence {turn}.")
            try:
                answer = await http.post(path, json=body, headers={"Authorization": f"Bearer {number % 5}"})
            except httpx.TransportError:
                answer = httpx.Response(0)
            answers.statuses[kind][answer.status_code] += 1
            again_s = answer.headers.get("Retry-After")
            if answer.status_code != 200 and not (answer.status_code in (429, 503) and again_s):
                answers.unexplained += 1
            if patient and again_s:
                await asyncio.sleep(min(float(again_s), max(0.0, until - time.monotonic())))

    async def all_of_them() -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        async with httpx.AsyncClient(base_url=url, timeout=_PATIENCE_S, limits=limits) as http:
            until = time.monotonic() + for_s
            await asyncio.gather(*(client(http, number, until) for number in range(clients)))

    asyncio.run(all_of_them())
    return answers


def _asked(kind: str, text: str) -> tuple[str, Mapping[str, Any]]:
    match kind:
        case "generate":
            return "/video/generate", {"text": text, "size": SIZE}
        case "speech":
            return "/v1/audio/speech", {"input": text}
        case "jobs":
            return "/v1/videos", {"prompt": text, "size": SIZE}
        case _:
            return KNOWN


def _counts(statuses: Mapping[int, int]) -> str:
    return ", ".join(f"{number}x {status}" for status, number in sorted(statuses.items()))


PARTS: Mapping[str, Callable[[Amounts], list[Row]]] = {
    "jobs_replicas": replicas,
    "jobs_long_film": long_film,
    "jobs_recovery": recovery,
    "jobs_overhead": overhead,
    "jobs_cached": cached,
    "jobs_load": load,
}


def at(values: Sequence[float], share: float) -> float:
    """Return the value that this share of `values` does not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


class Texts:
    """Texts of which no two have a sentence in common; the same ones every time."""

    def __init__(self) -> None:
        sentences = [f"{' '.join(words)}." for words in itertools.product(*_PARTS_OF_SPEECH)]
        random.Random(7).shuffle(sentences)
        self._sentences = iter(sentences)

    def next(self, sentences: int) -> str:
        """Return the next text."""
        return " ".join(itertools.islice(self._sentences, sentences))


class Visitor:
    """A client that keeps its connection, and is light enough not to be what is measured."""

    def __init__(self, url: str) -> None:
        self._connection = HTTPConnection(urlsplit(url).netloc, timeout=_PATIENCE_S)

    def answer(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> bytes:
        """Return the body of an answer; raises `RuntimeError` for a refusal."""
        sent = None if body is None else json.dumps(body).encode()
        self._connection.request(method, path, sent, {"Content-Type": "application/json"} if sent else {})
        answer = self._connection.getresponse()
        told = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {told[:500]!r}")
        return told

    def seconds(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> float:
        """Return how long an answer takes."""
        began = time.perf_counter()
        self.answer(method, path, body)
        return time.perf_counter() - began


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

    def make(self, texts: Sequence[str], **fields: str) -> tuple[list[Mapping[str, Any]], float]:
        """Have films made, and return their jobs and how long all of them took."""
        began = time.monotonic()
        jobs = self.finished([self.create(text, **fields) for text in texts])
        wall_s = time.monotonic() - began
        if failed := [job["error"] for job in jobs if job["status"] != "completed"]:
            raise RuntimeError(f"not completed: {failed}")
        return jobs, wall_s

    def finished(self, job_ids: Sequence[str]) -> list[Mapping[str, Any]]:
        """Return the jobs once they are over."""
        over: dict[str, Mapping[str, Any]] = {}

        def all_over() -> bool:
            listed = self.http.get("/v1/videos", params={"limit": 100}).json()["data"]
            over.update((job["id"], job) for job in listed if job["status"] in ("completed", "failed"))
            return over.keys() >= set(job_ids)

        self.until(all_over)
        return [over[job_id] for job_id in job_ids]

    def segments_done(self, job_id: str) -> int:
        """Return how far a job is; -1 while nobody can tell."""
        with suppress(httpx.HTTPError):
            answer = self.http.get(f"/v1/videos/{job_id}", timeout=2)
            return int(answer.json()["segments_done"]) if answer.status_code == 200 else -1
        return -1

    def until(self, condition: Callable[[], bool]) -> None:
        """Return once `condition` is true."""
        patient_until = time.monotonic() + _PATIENCE_S
        while not condition():
            if time.monotonic() > patient_until:
                raise RuntimeError("it never came true")
            time.sleep(_POLLED_EVERY_S)

    def warm_up(self, texts: Texts) -> None:
        """Have every replica make something: first requests load what later ones find."""
        self.make([texts.next(4 * len(self.machines.avatars))])

    def start_standby(self) -> None:
        """Start the second worker, which has nothing to do yet."""
        standby = self.machines.workers[1]
        starts = standby.log.count("working on")
        standby.start()
        self.until(lambda: standby.log.count("working on") > starts)

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
        """Run the bare app beside, and give its URL."""
        port, log = free_port(), self.folder / "bare.log"
        told = {"REDIS_URL": self.machines.redis.url, "BARE_PORT": str(port)}
        app = ServiceProcess("benchmarks.bare_answer", told, port, log)
        app.start()
        try:
            app.ready()
            yield app.url
        finally:
            app.kill()


@contextmanager
def running(
    *,
    avatars: int,
    workers: int = 1,
    started_workers: int | None = None,
    paced: bool = True,
    ms_per_frame: float = 20.0,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Stack]:
    """Run Talkie as on many machines, with nothing in its caches; `paced` avatar services sleep for every frame."""
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
            "GATEWAY_TTS_URL": f"http://127.0.0.1:{tts_port}",
            "GATEWAY_AVATAR_URL": ",".join(f"http://127.0.0.1:{port}" for port in avatar_ports),
            "GATEWAY_JOBS_INSIDE": "false",
            "TTS_PORT": str(tts_port),
            "GATEWAY_PORT": str(gateway_port),
            "AVATAR_MS_PER_FRAME": str(ms_per_frame),
            **(environment or {}),
        }
        gateway = WatchedProcess("services.gateway", shared, gateway_port, folder / "gateway.log")
        tts = ServiceProcess("services.tts", shared, tts_port, folder / "tts.log")
        avatar = "benchmarks.paced_avatar" if paced else "services.avatar"
        machines = Machines(redis, folder / "cache", gateway, [tts])
        for number, port in enumerate(avatar_ports):
            own = shared | {"AVATAR_PORT": str(port)}
            machines.avatars.append(ServiceProcess(avatar, own, port, folder / f"avatar{number}.log"))
        for number in range(workers):
            log = folder / f"worker{number}.log"
            machines.workers.append(ServiceProcess("services.gateway.worker", shared, None, log))
        for service in machines.all:
            stack.callback(service.kill)
        for service in [tts, *machines.avatars, gateway, *machines.workers[:started_workers]]:
            service.start()
        for service in [tts, *machines.avatars, gateway]:
            service.ready()
        http = stack.enter_context(httpx.Client(base_url=gateway.url, timeout=60))
        yield Stack(machines, gateway, http, folder)


if __name__ == "__main__":
    main()
