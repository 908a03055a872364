"""The commands of the README, run as they stand there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import av
import httpx
import pytest

from services.contract.speech import CODEC_FRAME_SAMPLES
from tests.checkpoints.musetalk import build_musetalk
from tests.clips import GOOD
from tests.footage import film as film_of_ann
from tests.footage import steady
from tests.processes import running_stack
from tests.qwen3 import TinyQwen

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
SAY, TEST, *CURLS = re.findall(r"```bash\n(.*?)\n```", README, re.DOTALL)
JOBS, VOICES, FACES = re.findall(r"```sh\n(.*?)\n```", README, re.DOTALL)


@contextmanager
def on_port_8000(environment: Mapping[str, str] | None = None) -> Iterator[None]:
    """`scripts/talkie up`, on the port the README names."""
    with running_stack(str(ROOT / "scripts" / "talkie"), "up", environment=environment) as url:
        assert url.endswith(":8000")
        yield


@pytest.fixture(scope="class")
def server() -> Iterator[None]:
    with on_port_8000():
        yield


def run(command: str, folder: Path) -> None:
    """Run a command of the README in `folder`, where the checkout's folders are to be found by their names."""
    for name in ("scripts", "avatars"):
        (folder / name).symlink_to(ROOT / name)
    environment = os.environ | {"COLUMNS": "100"}
    subprocess.run(command, shell=True, check=True, cwd=folder, env=environment, timeout=100)


def test_the_first_command_makes_a_film(tmp_path: Path) -> None:
    run(SAY, tmp_path)
    with av.open(str(tmp_path / "hello.mp4")) as film:
        assert {stream.codec.name for stream in film.streams} == {"h264", "aac"}
        assert sum(1 for _ in film.decode(video=0)) > 50


def test_the_command_uses_the_avatars_of_the_checkout_or_those_that_env_names(tmp_path: Path) -> None:
    (tmp_path / "people").mkdir()
    shutil.copy(ROOT / "avatars" / "kenji" / "portrait.png", tmp_path / "people" / "boss.png")
    environment = {name: value for name, value in os.environ.items() if not name.endswith("AVATAR_DIR")}

    def listed() -> str:
        command = [ROOT / "scripts" / "talkie", "avatar", "list"]
        done = subprocess.run(command, check=True, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, timeout=100)
        return done.stdout.decode()

    assert "kenji" in listed()
    (tmp_path / ".env").write_text("VIDEO_AVATAR_DIR=people\n")
    told = listed()
    assert "boss.png" in told
    assert "kenji" not in told


def test_the_second_command_is_the_one_ci_calls() -> None:
    assert TEST == "scripts/test"
    assert TEST in (ROOT / ".ci" / "run").read_text("utf-8")


class TestCurls:
    @pytest.mark.parametrize("command", CURLS, ids=lambda command: re.findall(r"-o (\S+)", command)[0])
    def test_every_curl_brings_what_it_promises(self, command: str, tmp_path: Path, server: None) -> None:
        run(command, tmp_path)
        (made,) = (path for path in tmp_path.iterdir() if path.is_file())
        with av.open(str(made)) as film:
            assert film.streams[0].codec.name.startswith(("h264", "mp3"))
            assert sum(1 for _ in film.decode(0)) > 10


def test_the_commands_about_jobs_follow_and_fetch_one(tmp_path: Path) -> None:
    with on_port_8000({"VIDEO_OUTPUT_DIR": str(tmp_path / "results")}):
        run(f"set -e; {JOBS}", tmp_path)
    with av.open(str(tmp_path / "scenes.mp4")) as film:
        assert sum(1 for _ in film.decode(video=0)) > 10


def test_the_commands_about_voices_copy_one(tmp_path: Path, tiny_qwen: TinyQwen) -> None:
    (tmp_path / "ann.wav").write_bytes(GOOD)
    with on_port_8000(tiny_qwen.environment() | {"TTS_VOICES_DIR": str(tmp_path / "voices")}):
        run(f"set -e; {VOICES}", tmp_path)
    with av.open(str(tmp_path / "ann-says.wav")) as speech:
        assert sum(frame.samples for frame in speech.decode(audio=0)) % CODEC_FRAME_SAMPLES == 0
    with av.open(str(tmp_path / "film.mp4")) as film:
        assert sum(1 for _ in film.decode(video=0)) > 10


def test_the_commands_about_faces_keep_and_prepare_a_clip(tmp_path: Path) -> None:
    film_of_ann(tmp_path / "ann.mp4", steady(1.0))
    weights = build_musetalk(tmp_path / "weights")
    environment = {"AVATAR_ENGINE": "musetalk", "AVATAR_MUSETALK_DIR": str(weights)}
    folders = {"AVATAR_DIR": str(tmp_path / "people"), "AVATAR_PACK_DIR": str(tmp_path / "packs")}
    with on_port_8000(environment | folders):
        for _ in range(300):
            if httpx.get("http://127.0.0.1:8000/health/ready", timeout=10).status_code == 200:
                break
            time.sleep(0.1)
        run(f"set -e; {FACES}", tmp_path)
    assert (tmp_path / "people" / "ann" / "source.mp4").is_file()
    assert list(tmp_path.glob("packs/*/manifest.json"))
