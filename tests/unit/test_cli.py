"""What the commands are made of: files written whole, failures told in a sentence, what the doctor looks at."""

from __future__ import annotations

import io
import socketserver
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydantic import ValidationError
from rich.console import Console

from services.avatar.settings import AvatarSettings
from services.cli import machine, making
from services.cli.doctor import examine
from services.cli.failures import told_in_a_sentence
from services.cli.output import whole_or_not_at_all
from services.contract.errors import InvalidRequest, NotFound
from services.contract.speech import SpeechRequest
from services.gateway.settings import GatewaySettings


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A file that is there already."""
    path = tmp_path / "film.mp4"
    path.write_bytes(b"old")
    return path


def test_a_file_is_replaced_when_the_new_one_is_whole(old: Path) -> None:
    with whole_or_not_at_all(old) as file:
        file.write(b"new")
        assert old.read_bytes() == b"old"
    assert old.read_bytes() == b"new"
    assert list(old.parent.iterdir()) == [old]


def test_a_failure_keeps_the_old_file_and_leaves_nothing_behind(old: Path) -> None:
    with pytest.raises(NotFound), whole_or_not_at_all(old) as file:
        file.write(b"half")
        raise NotFound("the avatar is gone")
    assert old.read_bytes() == b"old"
    assert list(old.parent.iterdir()) == [old]


def test_a_link_stays_and_its_target_is_replaced(old: Path) -> None:
    link = old.with_name("link.mp4")
    link.symlink_to(old)
    with whole_or_not_at_all(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert old.read_bytes() == b"new"


@pytest.mark.parametrize("place", ["", "no/such/folder/film.mp4", "/dev/null"])
def test_what_cannot_be_written_is_refused_before_the_work(place: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest) as refusal, whole_or_not_at_all(tmp_path / place):
        pytest.fail("the work began")
    assert str(tmp_path / place) in refusal.value.detail


def test_a_refusal_is_one_line_with_its_brackets_kept(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end, told_in_a_sentence():
        raise NotFound("There is no avatar '[red]'; " + "the list has many more words than a narrow terminal. " * 3)
    told = capsys.readouterr().err
    assert end.value.code == 1
    assert told.startswith("Not found: There is no avatar '[red]'; ")
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "value"), [("GATEWAY_PORT", "many"), ("GATEWAY_LOOK_AHEAD", "0"), ("GATEWAY_MAX_TEXT_CHARS", "-1")]
)
def test_a_wrong_setting_goes_by_its_name_in_the_environment(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit), told_in_a_sentence():
        GatewaySettings()
    assert capsys.readouterr().err.startswith(f"Invalid setting: {name}={value}: ")


def test_what_is_no_setting_stays_the_bug_it_is() -> None:
    with pytest.raises(ValidationError), told_in_a_sentence():
        SpeechRequest(text="")


class _Answer(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        assert self.request.recv(64) == b"PING\r\n"
        self.request.sendall(self.server.answer)  # type: ignore[attr-defined]


@contextmanager
def listening(answer: bytes) -> Iterator[str]:
    """Give the URL of something that answers everybody so."""
    with socketserver.TCPServer(("127.0.0.1", 0), _Answer) as server:
        server.answer = answer  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"redis://:hush@127.0.0.1:{server.server_address[1]}/0"
        finally:
            server.shutdown()


@pytest.mark.parametrize(
    ("answer", "state"),
    [(b"+PONG\r\n", "works"), (b"-NOAUTH Authentication required.\r\n", "works"), (b"HTTP/1.1 400\r\n", "optional")],
)
def test_the_doctor_pings_redis_and_keeps_its_password(answer: bytes, state: str) -> None:
    with listening(answer) as url:
        finding = machine.redis(url)
    assert finding.state == state
    assert "hush" not in finding.detail


def test_a_redis_that_is_away_is_named() -> None:
    assert machine.redis("redis://127.0.0.1:1/0").detail.startswith("127.0.0.1:1 does not answer")
    assert machine.redis("").state == "optional"


def test_the_doctor_looks_for_the_redis_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("REDIS_URL=redis://127.0.0.1:1/0\n")
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    told = io.StringIO()
    examine(Console(file=told, width=200))
    assert "127.0.0.1:1 does not answer" in told.getvalue()


def tool(folder: Path, script: str) -> None:
    """Put a program in place of nvidia-smi."""
    path = folder / "nvidia-smi"
    path.write_text(f"#!{sys.executable}\n{script}\n")
    path.chmod(0o755)


def test_the_doctor_tells_gpus_apart_from_drivers_that_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.gpu().state == "optional"
    tool(tmp_path, "print('NVIDIA A100, 40960 MiB\\nNVIDIA A100, 40960 MiB')")
    assert machine.gpu().detail == "NVIDIA A100, 40960 MiB; NVIDIA A100, 40960 MiB"
    tool(tmp_path, "import sys; sys.exit('no driver is loaded')")
    assert (machine.gpu().state, "no driver is loaded" in machine.gpu().detail) == ("optional", True)


def test_without_avatars_the_default_path_does_not_work(tmp_path: Path) -> None:
    settings = AvatarSettings(avatar_dir=tmp_path, models_dir=tmp_path)
    assert making.avatars(settings).state == "missing"
    assert str(tmp_path) in making.avatars(settings).detail
    assert making.lip_sync(settings).state == "missing"
    assert making.face_models(settings).state == "optional"
