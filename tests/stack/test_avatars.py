"""Pictures kept as avatars, through the API and the command line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import httpx
import pytest

from services.avatar.artwork import read_avatar
from tests.processes import running_stack

AVATARS = Path(__file__).parents[2] / "avatars"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of avatars of the test's own, with one shipped one in it."""
    shutil.copytree(AVATARS / "maya", tmp_path / "avatars" / "maya")
    monkeypatch.setenv("AVATAR_DIR", str(tmp_path / "avatars"))
    return tmp_path / "avatars"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A picture as a user would bring it: no layers, no landmarks."""
    path = tmp_path / "me.jpg"
    cv2.imwrite(str(path), cv2.resize(read_avatar(AVATARS / "kenji").source.portrait, (700, 700)))
    return path


def talkie(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "services.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | {"COLUMNS": "120"}, check=False)


def test_a_picture_is_kept_and_speaks(folder: Path, picture: Path) -> None:
    with running_stack() as url, httpx.Client(base_url=url, timeout=60) as client:
        files = {"image": ("me.jpg", picture.read_bytes())}
        added = client.post("/video/avatars", data={"name": "me"}, files=files)
        assert added.status_code == 201, added.text
        assert (added.json()["name"], added.json()["width"]) == ("me", 700)
        assert client.get("/video/avatars").json() == {"avatars": ["maya", "me"]}
        film = client.post("/video/generate", json={"text": "Hi.", "avatar": "me", "size": "256x256"})
        assert film.status_code == 200
        again = client.post("/video/avatars", data={"name": "me"}, files=files)
        assert (again.status_code, again.json()["code"]) == (409, "name_taken")
    assert sorted(path.name for path in folder.iterdir()) == ["maya", "me"]


def test_the_command_line_adds_lists_and_removes(folder: Path, picture: Path) -> None:
    added = talkie("avatar", "add", str(picture), "--name", "me")
    assert added.returncode == 0, added.stderr
    assert "me" in talkie("avatar", "list").stdout
    assert talkie("avatar", "remove", "me").returncode == 0
    assert not (folder / "me").exists()
    shipped = talkie("avatar", "remove", "maya")
    assert shipped.returncode == 1
    assert (folder / "maya").exists()
    assert "Traceback" not in shipped.stderr


def test_the_command_line_tells_what_works_and_what_is_wrong(folder: Path) -> None:
    assert talkie("doctor").returncode == 0
    assert "male-2" in talkie("voices").stdout
    wrong = talkie("say", "Hi.", "--avatar", "nobody")
    assert wrong.returncode == 1
    assert "no avatar 'nobody'" in wrong.stderr
    assert "Traceback" not in wrong.stderr
