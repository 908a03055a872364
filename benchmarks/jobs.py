"""How jobs fare: with more replicas, when something dies, from the cache, and when everybody comes at once.

    python -m benchmarks.jobs [--only jobs_replicas]

All of it over real processes on loopback. Where replicas are counted the avatar services sleep for every frame
instead of working, so that two cores can hold four of them; what is measured is what Talkie adds.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from threading import Barrier
from typing import Any

from redis import Redis

from benchmarks.jobs_stack import PACE_MS, SIZE, Job, Texts, Visitor, running
from benchmarks.report import report

Row = dict[str, Any]
Ask = tuple[str, Mapping[str, Any]]
"""A path, and what is posted there."""

FPS = 25
KEY = "bare:answer:" + "0" * 64
"""As long as the gateway's own keys."""
KNOWN: Ask = ("/v1/audio/speech", {"input": "This was said before."})
KINDS = ("generate", "new_speech", "known_speech", "job")
SIZED_FOR_FOUR = {
    "AVATAR_LANES": "2",
    "AVATAR_MAX_WAITING": "2",
    "TTS_LANES": "4",
    "TTS_MAX_WAITING": "4",
    "GATEWAY_JOBS_OPEN": "16",
    "GATEWAY_JOBS_OPEN_EACH": "6",
}


@dataclass(frozen=True)
class Amounts:
    """How much of everything is measured."""

    jobs: int = 12
    sentences: int = 6
    long_sentences: int = 172
    """Ten minutes of them."""
    long_ms_per_frame: float = 8.0
    deaths: int = 3
    mortal_sentences: int = 12
    overhead_sentences: tuple[int, int] = (8, 32)
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
    return _against_first([_fleet(number, scripts, PACE_MS) for number in (1, 2, 4)])


def long_film(amounts: Amounts) -> list[Row]:
    """One film of ten minutes, on one replica and on four."""
    script = Texts().next(amounts.long_sentences)
    return _against_first([_fleet(number, [script], amounts.long_ms_per_frame) for number in (1, 4)])


def _fleet(number: int, scripts: Sequence[str], ms_per_frame: float) -> Row:
    """Make films of all `scripts` with so many replicas."""
    with running(avatars=number, ms_per_frame=ms_per_frame) as stack:
        stack.warm_up()
        jobs, wall_s = stack.make(scripts, priority="batch")
    return {
        "replicas": number,
        "jobs": len(jobs),
        "segments": sum(job["segments_total"] for job in jobs),
        "film_s": _film_s(jobs),
        "wall_s": wall_s,
        "jobs_per_min": 60 * len(jobs) / wall_s,
        "replicas_busy": _engine_s(jobs, ms_per_frame) / (wall_s * number),
    }


def _against_first(rows: list[Row]) -> list[Row]:
    """Add what each row's time is to the first one's."""
    return [
        row | {"times_faster": rows[0]["wall_s"] / row["wall_s"], "share_of_time": row["wall_s"] / rows[0]["wall_s"]}
        for row in rows
    ]


def _film_s(jobs: Sequence[Job]) -> float:
    return sum(float(job["seconds"]) for job in jobs)


def _engine_s(jobs: Sequence[Job], ms_per_frame: float) -> float:
    return _film_s(jobs) * FPS * ms_per_frame / 1000


def recovery(amounts: Amounts) -> list[Row]:
    """How long nothing is heard of a job after something has died, and whether it was completed."""
    return [_recovery(victim, amounts) for victim in ("nobody", "worker", "avatar", "gateway", "redis")]


def _recovery(victim: str, amounts: Amounts) -> Row:
    silences_s: list[float] = []
    jobs: list[Job] = []
    texts = Texts()
    with running(avatars=2, standby=True) as stack:
        stack.warm_up()
        for _ in range(amounts.deaths):
            job_id = stack.create(texts.next(amounts.mortal_sentences))
            stack.until_done(job_id, 3)
            if victim == "worker":
                stack.start_standby()
            done = stack.segments_done(job_id)
            died_at = time.monotonic()
            stack.kill(victim)
            stack.until_done(job_id, done + 1)
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
    with running(avatars=1) as stack:
        stack.warm_up()
        for sentences in amounts.overhead_sentences:
            jobs, wall_s = stack.make([texts.next(sentences)])
            measured = {"segments": jobs[0]["segments_total"], "wall_s": wall_s, "engine_s": _engine_s(jobs, PACE_MS)}
            rows.append({"what": f"a job of {sentences} sentences", **measured})
    short, long = rows
    rows.append({"what": "more of the longer one", **{key: long[key] - short[key] for key in measured}})
    for row in rows:
        row["beside_s"] = row["wall_s"] - row["engine_s"]
        row["beside_per_segment_ms"] = 1000 * row["beside_s"] / row["segments"]
    return rows


def cached(amounts: Amounts) -> list[Row]:
    """The same answers again and again, beside an app that only reads them from Redis."""
    texts = Texts()

    def speech(sentences: int) -> Ask:
        return "/v1/audio/speech", {"input": texts.next(sentences), "response_format": "mp3"}

    def film() -> Ask:
        return "/video/generate", {"text": texts.next(2), "size": "512x512"}

    rows: list[Row] = []
    with running(avatars=1, paced=False) as stack, stack.bare() as bare:
        stack.warm_up()
        visitor = Visitor(stack.url)
        for name, asked, hits, misses in (
            ("speech, one sentence", partial(speech, 1), amounts.hits, amounts.misses),
            ("speech, ten sentences", partial(speech, 10), amounts.hits, amounts.misses),
            ("film, two sentences", film, amounts.film_hits, amounts.film_misses),
        ):
            visitor.post(asked())  # the first of its kind loads what the others find
            asks = [asked() for _ in range(misses)]
            missed_s = [visitor.seconds("POST", *ask) for ask in asks]
            kept = visitor.post(asks[0])
            Redis(port=stack.machines.redis.port).set(KEY, kept)
            for clients in (1, 8):
                ours_s, bare_s = _in_turn(stack.url, bare, asks[0], clients, hits)
                row: Row = {"what": name, "clients": clients, "bytes": len(kept)}
                row |= _quantiles("hit", ours_s) | _quantiles("bare", bare_s) | _quantiles("miss", missed_s)
                row["hit_to_bare"] = row["hit_p50_ms"] / row["bare_p50_ms"]
                row["miss_to_hit"] = row["miss_p50_ms"] / row["hit_p50_ms"]
                rows.append(row)
    return rows


def _in_turn(url: str, bare: str, ask: Ask, clients: int, hits: int) -> tuple[list[float], list[float]]:
    """Return how long the gateway and the bare app took: all clients ask the one at once, then all the other."""
    together = Barrier(clients)
    warming = 5

    def visit(_: int) -> list[tuple[float, float]]:
        ours, theirs = Visitor(url), Visitor(bare)
        pairs: list[tuple[float, float]] = []
        for _ in range(warming + -(-hits // clients)):
            together.wait()
            ours_s = ours.seconds("POST", *ask)
            together.wait()
            pairs.append((ours_s, theirs.seconds("GET", f"/answer?key={KEY}")))
        return pairs[warming:]

    with ThreadPoolExecutor(clients) as threads:
        pairs = [pair for visits in threads.map(visit, range(clients)) for pair in visits]
    return [ours for ours, _ in pairs], [theirs for _, theirs in pairs]


def load(amounts: Amounts) -> list[Row]:
    """Far more clients than there is room for: those that come again when they are told to, and those that do not."""
    return [_siege(amounts, patient) for patient in (True, False)]


def _siege(amounts: Amounts, patient: bool) -> Row:
    with running(avatars=1, environment=SIZED_FOR_FOUR) as stack:
        stack.warm_up()
        visitor = Visitor(stack.url)
        visitor.post(KNOWN)
        memory_mib, alive_s, hit_s = [stack.gateway.resident_mib()], [], []
        # Apart from here, so that who looks at the clock need not wait for the crowd's own work.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as crowd:
            crowd.submit(time.sleep, 0).result()
            began = time.monotonic()
            crowding = crowd.submit(besiege, stack.url, amounts.clients, amounts.siege_s, patient)
            while (elapsed_s := time.monotonic() - began) < amounts.siege_s:
                alive_s.append(visitor.seconds("GET", "/health/live"))
                hit_s.append(visitor.seconds("POST", *KNOWN))
                if len(memory_mib) == 1 and elapsed_s > amounts.siege_s / 2:
                    memory_mib.append(stack.gateway.resident_mib())
                time.sleep(0.02)
            answers = crowding.result()
        memory_mib.append(stack.gateway.resident_mib())
    told = {kind: ", ".join(f"{times}x {what}" for what, times in sorted(answers[kind].items())) for kind in KINDS}
    row: Row = {"come_again": "when told to" if patient else "at once", **told}
    row |= dict(zip(("start_mib", "middle_mib", "end_mib"), memory_mib, strict=True))
    return row | _quantiles("alive", alive_s) | _quantiles("hit", hit_s)


def besiege(url: str, clients: int, for_s: float, patient: bool) -> dict[str, Counter[str]]:
    """Ask for all kinds of things, all clients at once; return what they were told, by what they asked for."""
    answers: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    until = time.monotonic() + for_s

    def client(number: int) -> None:
        kind, visitor, turn = KINDS[number % len(KINDS)], Visitor(url), 0
        while time.monotonic() < until:
            path, body = _asked(kind, f"Visitor {number} says sentence {turn}.")
            try:
                status, again_s, _ = visitor.ask("POST", path, body, {"Authorization": f"Bearer {number % 5}"})
            except OSError as error:
                status, again_s, visitor = 0, 0.0, Visitor(url)
                answers[kind][type(error).__name__] += 1
            else:
                explained = status == 200 or (status in (429, 503) and again_s)
                answers[kind][f"{status}" if explained else f"{status} unexplained"] += 1
            turn += 1
            if patient and again_s:
                time.sleep(max(0.0, min(again_s, until - time.monotonic())))

    with ThreadPoolExecutor(clients) as threads:
        list(threads.map(client, range(clients)))
    return answers


def _asked(kind: str, text: str) -> Ask:
    match kind:
        case "generate":
            return "/video/generate", {"text": text, "size": SIZE}
        case "new_speech":
            return "/v1/audio/speech", {"input": text}
        case "job":
            return "/v1/videos", {"prompt": text, "size": SIZE}
        case _:
            return KNOWN


def _quantiles(name: str, values_s: Sequence[float]) -> Row:
    in_order = sorted(values_s)
    worst = in_order[min(len(in_order) - 1, int(0.99 * len(in_order)))]
    return {f"{name}_p50_ms": 1000 * statistics.median(in_order), f"{name}_p99_ms": 1000 * worst}


PARTS: Mapping[str, Callable[[Amounts], list[Row]]] = {
    "jobs_replicas": replicas,
    "jobs_long_film": long_film,
    "jobs_recovery": recovery,
    "jobs_overhead": overhead,
    "jobs_cached": cached,
    "jobs_load": load,
}

if __name__ == "__main__":
    main()
