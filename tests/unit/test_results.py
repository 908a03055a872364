"""Finished films on disk: their names, their time, and what is no film of ours."""

from __future__ import annotations

import io
from pathlib import Path

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
