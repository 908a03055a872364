"""Finished films on disk: their names, their time, and what is no film of ours."""

from __future__ import annotations

import io
from pathlib import Path
from urllib.parse import quote

import pytest

from services.contract.errors import NotFound, ServiceError, Unavailable
from services.gateway.newavata.results import Results

KEPT_S = 600.0


def test_a_temporary_film_goes_and_a_saved_one_stays(tmp_path: Path) -> None:
    later_s = 0.0
    results = Results(tmp_path, KEPT_S, lambda: Path(tmp_path).stat().st_mtime + later_s)
    going = results.keep(io.BytesIO(b"one"), "안녕하세요, 면접에 오신", "mp4", persist=False)
    staying = results.keep(io.BytesIO(b"two"), "Hello there!", "webm", persist=True)
    rescued = results.keep(io.BytesIO(b"three"), "../../etc", "mp4", persist=False)
    assert going.path.name.startswith("안녕하세요면접에오신_")
    assert staying.path.name.startswith("Hellothere_")
    assert staying.path.parent.name == "saved"
    assert rescued.path.parent == tmp_path / "realtime"
    assert results.find(going.path.name).path.read_bytes() == b"one"
    saved = results.save(f"https://talkie.example/video/{rescued.path.name}")
    assert saved.persistent
    assert results.save(f"/video/{rescued.path.name}") == saved
    later_s = KEPT_S + 100
    with pytest.raises(NotFound):
        results.find(going.path.name)
    assert results.remove_old() == 1
    assert not going.path.exists()
    assert results.find(saved.path.name).path.read_bytes() == b"three"
    assert results.find(staying.path.name).path.read_bytes() == b"two"


def test_urls_are_taken_as_browsers_write_them(tmp_path: Path) -> None:
    results = Results(tmp_path, KEPT_S)
    kept = results.keep(io.BytesIO(b"one"), "안녕하세요", "mp4", persist=False)
    assert results.save(f"http://talkie.example/video/{quote(kept.path.name)}?t=1").persistent


def test_nothing_half_written_stays(tmp_path: Path) -> None:
    class Broken(io.BytesIO):
        def read(self, *_: object) -> bytes:
            raise OSError(28, "No space left on device")

    with pytest.raises(Unavailable, match="No space"):
        Results(tmp_path, KEPT_S).keep(Broken(), "x", "mp4", persist=True)
    assert list((tmp_path / "saved").iterdir()) == []


def test_what_cannot_be_removed_does_not_keep_the_rest(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    results = Results(tmp_path, KEPT_S, lambda: 10.0**10)
    kept = results.keep(io.BytesIO(b"one"), "x", "mp4", persist=False)
    (tmp_path / "realtime" / "a folder").mkdir()
    results.remove_old()
    assert not kept.path.exists()
    assert "cannot be removed" in caplog.text


@pytest.mark.parametrize(
    "name", ["../secret.mp4", "secret.mp4", ".x_00000000.mp4", "x_00000000.txt", "", "a/b_00000000.mp4"]
)
def test_a_name_is_never_a_path(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    (tmp_path / "realtime").mkdir()
    (tmp_path / "realtime" / "secret.mp4").write_bytes(b"secret")
    results = Results(tmp_path, KEPT_S)
    with pytest.raises(ServiceError):
        results.find(name)
    with pytest.raises(ServiceError):
        results.save(f"/video/{name}")


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Unavailable, match="VIDEO_OUTPUT_DIR"):
        Results(tmp_path / "file", KEPT_S).keep(io.BytesIO(b""), "x", "mp4", persist=False)
