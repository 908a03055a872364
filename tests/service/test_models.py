"""Fetching models: from a hub and from URLs, over a connection that breaks, and what is checked afterwards."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from services.cli.main import app
from services.contract.errors import NotFound, ServiceError, Unavailable
from services.models import catalogue, download
from services.models.catalogue import MODELS, Model
from services.models.store import LOCK_FILE, ModelStore

WEIGHTS = bytes(range(256)) * 4000
FILES = {"config.json": b"{}", "speech_tokenizer/model.safetensors": WEIGHTS, "README.md": b"# Read me"}
COMMIT = "c0ffee" * 6 + "beef"


@dataclass
class Hub:
    """A hub with one repository, and its moods."""

    url: str = ""
    cut_after: int = 0
    """Cut answers after so many bytes; 0 sends them whole."""
    wrong: bool = False
    """Whether it sends other bytes than it announces."""
    token: str = ""
    served: list[tuple[str, str]] = field(default_factory=list)
    """Paths of files, and the ranges that were asked for."""


def handler_of(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
                self.answer(401, b"")
            elif self.path.startswith("/api/models/some/voices/revision/"):
                self.answer(200, json.dumps({"sha": COMMIT}).encode())
            elif self.path.startswith(f"/api/models/some/voices/tree/{COMMIT}"):
                self.answer(200, json.dumps([_entry(path, data) for path, data in FILES.items()]).encode())
            elif self.path.startswith(f"/some/voices/resolve/{COMMIT}/"):
                self.file(self.path.split(COMMIT)[1][1:])
            elif self.path == "/elsewhere/voice.bin":
                self.file("speech_tokenizer/model.safetensors")
            else:
                self.answer(404, b"")

        def file(self, path: str) -> None:
            asked = self.headers.get("Range", "")
            hub.served.append((path, asked))
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
            data = bytes(len(FILES[path])) if hub.wrong else FILES[path]
            self.send_response(206 if asked else 200)
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            rest = data[start:]
            self.wfile.write(rest[: hub.cut_after] if hub.cut_after else rest)

        def answer(self, status: int, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


def _entry(path: str, data: bytes) -> dict[str, Any]:
    large = {"lfs": {"oid": hashlib.sha256(data).hexdigest(), "size": len(data)}} if len(data) > 1000 else {}
    return {"type": "file", "path": path, "size": len(data)} | large


@contextmanager
def running_hub() -> Iterator[Hub]:
    hub = Hub()
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(hub))
    hub.url = f"http://127.0.0.1:{http.server_port}"
    threading.Thread(target=http.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        http.shutdown()
        http.server_close()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr(download, "_PATIENCE_S", (0.01, 0.01, 0.01))
    with running_hub() as running:
        yield running


MODEL = Model("voices", "qwen3/voices", "to be tested", "CC0", 0.001, 0, "some/voices")


def fetched(hub: Hub, folder: Path, model: Model = MODEL, token: str = "") -> dict[str, list[tuple[int, int | None]]]:
    told: dict[str, list[tuple[int, int | None]]] = {}
    store = ModelStore(folder, hub.url, token)
    store.fetch(model, lambda path: lambda here, total: told.setdefault(path, []).append((here, total)))
    return told


def test_a_repository_is_fetched_at_one_commit_and_verified(hub: Hub, tmp_path: Path) -> None:
    told = fetched(hub, tmp_path)
    folder = tmp_path / "qwen3" / "voices"
    assert (folder / "speech_tokenizer" / "model.safetensors").read_bytes() == WEIGHTS
    assert not (folder / "README.md").exists()
    assert told["qwen3/voices/speech_tokenizer/model.safetensors"][-1] == (len(WEIGHTS), len(WEIGHTS))
    lock = json.loads((tmp_path / LOCK_FILE).read_text())["voices"]
    assert lock["revision"] == COMMIT
    store = ModelStore(tmp_path, hub.url)
    assert store.is_here(MODEL)
    assert [finding.problem for finding in store.verify(MODEL)] == ["", ""]

    hub.served.clear()
    fetched(hub, tmp_path)
    assert hub.served == []  # all of it is known to be right

    data = bytearray(WEIGHTS)
    data[1000] ^= 1
    (folder / "speech_tokenizer" / "model.safetensors").write_bytes(data)
    (folder / "config.json").unlink()
    assert {finding.path.rpartition("/")[2]: finding.problem for finding in store.verify(MODEL)} == {
        "config.json": "missing",
        "model.safetensors": "not as it was received",
    }
    assert not store.is_here(MODEL)


def test_a_broken_connection_is_taken_up_where_it_broke(hub: Hub, tmp_path: Path) -> None:
    hub.cut_after = len(WEIGHTS) // 3
    fetched(hub, tmp_path)
    ranges = [asked for path, asked in hub.served if path.endswith("model.safetensors")]
    assert len(ranges) == 4
    assert ranges[0] == ""
    assert all(asked.startswith("bytes=") for asked in ranges[1:])
    assert (tmp_path / "qwen3/voices/speech_tokenizer/model.safetensors").read_bytes() == WEIGHTS


def test_a_later_run_goes_on_from_there(hub: Hub, tmp_path: Path) -> None:
    hub.cut_after = len(WEIGHTS) // 10
    with pytest.raises(Unavailable, match="run it again"):
        fetched(hub, tmp_path)
    part = tmp_path / "qwen3/voices/speech_tokenizer/model.safetensors.part"
    assert 0 < part.stat().st_size < len(WEIGHTS)
    hub.cut_after = 0
    fetched(hub, tmp_path)
    assert not part.exists()
    assert [finding.problem for finding in ModelStore(tmp_path, hub.url).verify(MODEL)] == ["", ""]


def test_other_bytes_than_announced_are_thrown_away(hub: Hub, tmp_path: Path) -> None:
    hub.wrong = True
    with pytest.raises(Unavailable, match="not the file it should be"):
        fetched(hub, tmp_path)
    assert not list(tmp_path.rglob("*.safetensors*"))


def test_files_elsewhere_are_locked_as_received(hub: Hub, tmp_path: Path) -> None:
    url = f"{hub.url}/elsewhere/voice.bin"
    model = Model("kokoro-like", "kokoro", "to be tested", "CC0", 0.001, 0, urls=(url,))
    fetched(hub, tmp_path, model)
    lock = json.loads((tmp_path / LOCK_FILE).read_text())["kokoro-like"]
    assert lock["files"]["kokoro/voice.bin"]["sha256"] == hashlib.sha256(WEIGHTS).hexdigest()
    wrong = Model("x", "x", "", "", 0, 0, urls=(url,), sha256={"voice.bin": "0" * 64})
    with pytest.raises(Unavailable, match="SHA-256"):
        fetched(hub, tmp_path, wrong)


def test_a_token_is_sent_where_it_belongs(hub: Hub, tmp_path: Path) -> None:
    hub.token = "secret"
    with pytest.raises(Unavailable, match="HF_TOKEN"):
        fetched(hub, tmp_path)
    fetched(hub, tmp_path, token="secret")


@pytest.mark.parametrize(
    ("model", "error"),
    [
        (Model("gone", "gone", "", "", 0, 0, urls=("{hub}/nothing.bin",)), NotFound),
        (Model("away", "away", "", "", 0, 0, urls=("http://127.0.0.1:1/x.bin",)), Unavailable),
        (Model("empty", "empty", "", "", 0, 0, "some/voices", below="nothing"), NotFound),
        (Model("unknown", "unknown", "", "", 0, 0, "some/other"), NotFound),
    ],
)
def test_what_cannot_be_fetched(hub: Hub, tmp_path: Path, model: Model, error: type[ServiceError]) -> None:
    if model.name == "empty":
        before = dict(FILES)
        FILES.clear()
    try:
        urls = tuple(url.replace("{hub}", hub.url) for url in model.urls)
        with pytest.raises(error):
            fetched(hub, tmp_path, Model(**{**vars(model), "urls": urls}))
    finally:
        if model.name == "empty":
            FILES.update(before)


def test_without_room_nothing_is_begun(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.models.store._SPARE_BYTES", 10**18)
    with pytest.raises(Unavailable, match="do not fit"):
        fetched(hub, tmp_path)
    assert hub.served == []


def test_the_command_line(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "MODELS", MODELS)
    monkeypatch.setitem(MODELS, "voices", MODEL)  # type: ignore[arg-type]
    environment = {"HF_ENDPOINT": hub.url, "MODELS_DIR": str(tmp_path), "COLUMNS": "200"}

    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["models", *arguments], env=environment)
        return result.exit_code, result.output

    status, text = run("list")
    assert status == 0
    assert "qwen3-0.6b-base" in text
    assert "Apache-2.0" in text
    status, text = run("fetch", "voices")
    assert (status, "2 files at c0ffee" in text) == (0, True)
    assert run("verify") == (0, "ok  qwen3/voices/config.json\nok  qwen3/voices/speech_tokenizer/model.safetensors\n")
    (tmp_path / "qwen3/voices/config.json").write_text("[]")
    assert run("verify", "voices")[0] == 1
    assert run("fetch", "nothing")[0] == 1


def test_the_catalogue_is_complete() -> None:
    for name, model in MODELS.items():
        assert model.name == name
        assert model.licence
        assert model.purpose
        assert model.disk_gb > 0
        assert bool(model.repository) != bool(model.urls)
