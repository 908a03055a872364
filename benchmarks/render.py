"""How fast films are made, how soon they start, and how much memory that takes.

    python -m benchmarks.render

Frames per second are those of the portrait engine alone on one core. Everything else is measured from
outside: a fresh `python -m services` per row of memory, real HTTP, real files.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import httpx

from benchmarks.report import report
from services.avatar.artwork import read_avatar
from services.avatar.engine import FrameSize
from services.avatar.engines.portrait.engine import PortraitEngine
from services.contract.speech import SpeechRequest, join_chunks
from services.contract.video import FILM_SAMPLE_RATE_HZ
from services.tts.engines.espeak.engine import EspeakEngine
from services.tts.resample import resampled

SIZES = (FrameSize(512, 512), FrameSize(1280, 720), FrameSize(1920, 1080))
FPS = Fraction(25)
SENTENCE = "People move their lips for every sound, and the picture has to follow every one of them closely. "
TEN_SECONDS = (
    "Hello! A second ago I was only text. Now I can talk to you for about ten seconds, "
    "and that should be long enough to measure how fast all of this is."
)
MINUTES_OF_SPEECH = (1 / 6, 1, 10)
SENTENCES_PER_MINUTE = 10.2
ROUNDS = 5

Row = dict[str, Any]


def main() -> None:
    """Measure, print the tables and keep them."""
    cv2.setNumThreads(1)
    report("render", [frame_rate(size) for size in SIZES])
    report("render_latency", latencies())
    report("render_memory", [memory(minutes) for minutes in MINUTES_OF_SPEECH])


def frame_rate(size: FrameSize) -> Row:
    """Measure the engine alone: time of the one thread that renders, best of some rounds."""
    engine, source = PortraitEngine(), read_avatar(sorted(Path("avatars").iterdir())[0]).source
    started = time.thread_time()
    track = engine.prepare(source, size)
    prepared_s = time.thread_time() - started
    speech = _speech(SENTENCE)
    rates = []
    for _ in range(ROUNDS):
        started = time.thread_time()
        frames = sum(1 for _ in engine.render(track, speech, 0, FPS))
        rates.append(frames / (time.thread_time() - started))
    return {"size": f"{size.width}x{size.height}", "prepare_s": prepared_s, "fps_one_core": max(rates)}


def latencies() -> list[Row]:
    """Measure the command line once it is installed, and the running service once it is warm."""
    rows = [_row("say, 10 s text, whole process", _say_s)]
    with _stack() as (url, _):
        _generate(url, TEN_SECONDS)
        rows.append(_row("/video/generate, 10 s text, warm", lambda: _generate(url, TEN_SECONDS)))
        rows.append(_row("/video/stream, first fragment, warm", lambda: _first_fragment_s(url)))
    return rows


def memory(minutes: float) -> Row:
    """Measure the peak of a fresh stack, workers included, that makes one film of so many minutes."""
    text = SENTENCE * round(SENTENCES_PER_MINUTE * minutes)
    with _stack() as (url, pid):
        taken_s = _generate(url, text)
        peak = sum(_peak_mib(process) for process in (pid, *_children(pid)))
    return {"minutes": round(minutes, 2), "characters": len(text), "taken_s": taken_s, "peak_mib": peak}


def _speech(text: str) -> Any:
    engine = EspeakEngine()
    utterance = engine.resolve(SpeechRequest(text=text, language="English"))
    speech = join_chunks(list(resampled(engine.synthesize(utterance), FILM_SAMPLE_RATE_HZ)))
    engine.close()
    return speech


def _row(what: str, measure: Any) -> Row:
    seconds = [measure() for _ in range(ROUNDS)]
    return {"what": what, "median_s": statistics.median(seconds), "best_s": min(seconds), "worst_s": max(seconds)}


def _say_s() -> float:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "services.cli", "say", TEN_SECONDS, "--out", f"{folder}/film.mp4"]
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        return time.perf_counter() - started


@contextmanager
def _stack() -> Iterator[tuple[str, int]]:
    command = [sys.executable, "-m", "services.cli", "up", "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        line = next(line for line in process.stderr if "Talkie is at" in line)
        yield line.split()[-1], process.pid
    finally:
        process.terminate()
        process.communicate(timeout=60)


def _generate(url: str, text: str) -> float:
    started = time.perf_counter()
    httpx.post(f"{url}/video/generate", json={"text": text}, timeout=900).raise_for_status()
    return time.perf_counter() - started


def _first_fragment_s(url: str) -> float:
    started = time.perf_counter()
    received = b""
    with httpx.stream("POST", f"{url}/video/stream", json={"text": TEN_SECONDS}, timeout=60) as answer:
        for piece in answer.iter_raw():
            received += piece
            if b"mdat" in received:
                return time.perf_counter() - started
    raise RuntimeError("the film ended before its first fragment")


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def _peak_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 1024


if __name__ == "__main__":
    main()
