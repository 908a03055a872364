"""The command line as a person uses it: real processes, real files, real signals."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stack.films import decode

TALKIE = (sys.executable, "-m", "services.cli")
LONG_TEXT = "This sentence is one of many, and nobody will wait for the last of them. " * 12
PATIENCE_S = 20.0


def talkie(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    environment = os.environ | {"COLUMNS": "200"}
    return subprocess.run(
        [*TALKIE, *arguments], input=typed, capture_output=True, text=True, env=environment, check=False
    )


def until(condition: Callable[[], bool]) -> None:
    """Return when `condition` has come true."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < PATIENCE_S
        time.sleep(0.01)


def workers_of(pid: int) -> list[Path]:
    """Return the processes that `pid` has started, as they stand in /proc."""
    children = (task.read_text().split() for task in Path(f"/proc/{pid}/task").glob("*/children"))
    return [Path(f"/proc/{child}") for some in children for child in some]


def test_say_makes_the_film_it_was_asked_for_and_tells_about_it(tmp_path: Path) -> None:
    out = tmp_path / "film.mp4"
    said = talkie("say", "Good evening.", "--out", str(out), "--size", "640x360", "--fps", "30", "--avatar", "grace")
    assert said.returncode == 0, said.stderr
    film = decode(out.read_bytes())
    assert film.size == (640, 360)
    assert film.times_s[1] - film.times_s[0] == pytest.approx(1 / 30, abs=0.001)
    told = dict(re.findall(r"^ *(file|duration|resolution|time taken|real-time factor)  +(.*?) *$", said.stderr, re.M))
    assert told["file"] == str(out)
    assert told["duration"] == f"{film.video_s:.2f} s"
    assert told["resolution"] == "640x360 at 30 fps"
    assert float(told["time taken"].split()[0]) > 0
    assert float(told["real-time factor"].split()[0]) > 0


def test_say_reads_what_is_piped_into_it(tmp_path: Path) -> None:
    out = tmp_path / "piped.mp4"
    assert talkie("say", "-", "--out", str(out), "--size", "128x128", typed="Hi.\n").returncode == 0
    assert decode(out.read_bytes()).size == (128, 128)


def test_what_goes_wrong_keeps_the_old_film(tmp_path: Path) -> None:
    out = tmp_path / "film.mp4"
    out.write_bytes(b"old")
    failed = talkie("say", "Hi.", "--out", str(out), "--voice", "nobody")
    assert failed.returncode == 1
    assert len(failed.stderr.strip().splitlines()) == 1
    assert "no voice 'nobody'" in failed.stderr
    assert out.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [out]


def test_an_interrupted_film_leaves_nothing_behind(tmp_path: Path) -> None:
    command = [*TALKIE, "say", LONG_TEXT, "--out", str(tmp_path / "film.mp4"), "--size", "1280x720"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    until(lambda: any(tmp_path.iterdir()))
    workers: list[Path] = []
    until(lambda: bool(workers.extend(workers_of(process.pid)) or workers))
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert "Traceback" not in told
    assert not list(tmp_path.iterdir())
    until(lambda: not any(worker.exists() for worker in workers))


def test_a_port_that_is_taken_is_told_in_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = talkie("up", "--port", str(port))
    assert told.returncode == 1
    assert told.stderr.strip().splitlines()[-1].startswith(f"Unavailable: 127.0.0.1:{port} is taken")
    assert "Traceback" not in told.stderr
