"""The avatar library: folders, pictures, additions and uploads."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from services.avatar.engine import Image
from services.avatar.face.types import Face
from services.avatar.library import AvatarLibrary
from services.avatar.settings import AvatarSettings
from services.contract.errors import InvalidRequest, NameTaken, NotFound, ServiceError, Unavailable, UnsuitableFace

WARNING = "The face is small."


class MiddleFace:
    """Finds a face in the middle of every picture that is not black."""

    def __init__(self) -> None:
        self.looked = 0

    def find(self, picture: Image) -> Face:
        self.looked += 1
        if not picture.any():
            raise UnsuitableFace("There is no face in the picture.")
        height, width = picture.shape[:2]
        return Face(np.full((478, 3), (width / 2, height / 2, 0), np.float32), (WARNING,))


def png(picture: Image) -> bytes:
    return cv2.imencode(".png", picture)[1].tobytes()


def plain(shade: int, width: int = 100, height: int = 120) -> bytes:
    return png(np.full((height, width, 3), shade, np.uint8))


def write_artwork(folder: Path, **fields: Any) -> None:
    """An avatar as they are shipped: a red person over a green background, with blue lids."""
    folder.mkdir(parents=True)
    person = np.zeros((80, 64, 4), np.uint8)
    person[20:60, 16:48] = (0, 0, 255, 255)
    lids = np.zeros((80, 64, 4), np.uint8)
    lids[30:34, 20:40] = (255, 0, 0, 255)
    landmarks = [[10.5, 20.25, -3.0]] * 478
    described = {"title": "Maya", "license": "CC0-1.0", "voice": "female", "landmarks": landmarks, **fields}
    (folder / "avatar.json").write_text(json.dumps(described))
    (folder / "portrait.png").write_bytes(png(person))
    (folder / "background.jpg").write_bytes(png(np.full((80, 64, 3), (0, 255, 0), np.uint8)))
    (folder / "closed_eyes.png").write_bytes(png(lids))


@pytest.fixture
def faces() -> MiddleFace:
    return MiddleFace()


@pytest.fixture
def library(tmp_path: Path, faces: MiddleFace) -> AvatarLibrary:
    return AvatarLibrary(AvatarSettings(avatar_dir=tmp_path / "avatars", uploads_kept=2), faces)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "avatars").mkdir()
    return tmp_path / "avatars"


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_artwork_is_laid_together(library: AvatarLibrary, folder: Path, faces: MiddleFace) -> None:
    write_artwork(folder / "maya")
    avatar = library.find("maya")
    source = avatar.source
    assert avatar.info.model_dump() == {
        "name": "maya", "title": "Maya", "license": "CC0-1.0", "voice": "female", "width": 64, "height": 80,
        "motion_s": 0.0, "warnings": [], "digest": "",
    }  # fmt: skip
    assert source.portrait[0, 0].tolist() == [0, 255, 0]
    assert source.portrait[40, 30].tolist() == [0, 0, 255]
    assert source.matte is not None and source.matte[[0, 40], [0, 30]].tolist() == [0, 255]
    assert source.background is not None and source.background[40, 30].tolist() == [0, 255, 0]
    assert source.closed_eyes is not None and source.closed_eyes[32, 30].tolist() == [255, 0, 0]
    assert np.array_equal(source.closed_eyes[34:], source.portrait[34:])
    assert source.landmarks.shape == (478, 3) and source.landmarks.dtype == np.float32
    assert faces.looked == 0


def test_the_middle_of_a_wide_background_stands_behind_the_person(library: AvatarLibrary, folder: Path) -> None:
    write_artwork(folder / "maya")
    stripes = np.repeat(np.arange(160, dtype=np.uint8), 3).reshape(1, 160, 3).repeat(80, axis=0)
    (folder / "maya" / "background.jpg").write_bytes(png(stripes))
    source = library.find("maya").source
    assert source.portrait[0, :, 0].tolist() == list(range(48, 112))
    assert source.background is not None and source.background.shape == (80, 160, 3)


def test_the_digest_follows_the_content(library: AvatarLibrary, folder: Path) -> None:
    write_artwork(folder / "maya")
    write_artwork(folder / "twin")
    before = library.find("maya").source.digest
    assert library.find("twin").source.digest == before
    (folder / "maya" / "portrait.png").write_bytes(png(np.full((80, 64, 4), 99, np.uint8)))
    assert library.find("maya").source.digest != before


def test_pictures_in_the_folder_are_avatars(library: AvatarLibrary, folder: Path, faces: MiddleFace) -> None:
    (folder / "interviewer.jpg").write_bytes(cv2.imencode(".jpg", np.full((120, 100, 3), 90, np.uint8))[1].tobytes())
    (listed,) = library.list()
    assert (listed.name, listed.width, listed.height, faces.looked) == ("interviewer.jpg", 100, 120, 0)
    found = library.find("interviewer.jpg")
    assert library.find("interviewer.jpg") is found
    assert found.source.landmarks[0].tolist() == [50, 60, 0]
    assert faces.looked == 1
    assert library.list()[0].warnings == [WARNING]


def test_the_list_holds_avatars_only(library: AvatarLibrary, folder: Path) -> None:
    write_artwork(folder / "maya")
    write_artwork(folder / "broken", landmarks=[[0, 0, 0]])
    (folder / "empty").mkdir()
    (folder / ".hidden").mkdir()
    (folder / "README.md").write_text("not an avatar")
    (folder / "torn.png").write_bytes(b"not a picture")
    assert [info.name for info in library.list()] == ["maya"]


@pytest.mark.parametrize("name", ["my photo.png", "Zoë.jpg", f"{'x' * 65}.png"])
def test_who_cannot_be_asked_for_is_left_out_and_logged(
    library: AvatarLibrary, folder: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    (folder / name).write_bytes(plain(90))
    (folder / ".photo.png.part.png").write_bytes(plain(90))
    (folder / "my notes.txt").write_text("not an avatar")
    assert library.list() == []
    (logged,) = caplog.messages
    assert repr(name) in logged


def test_a_library_without_a_folder_is_empty(library: AvatarLibrary) -> None:
    assert library.list() == []


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../avatars/maya", "../../etc/passwd", "/etc/passwd", "maya/portrait.png", "a\\b", "a\0b", "x" * 65,
     "mäya", "maya\n", ".hidden", "maya.json", "maya.png.png", "%2e%2e"],
)  # fmt: skip
def test_a_name_is_never_a_path(library: AvatarLibrary, folder: Path, name: str) -> None:
    write_artwork(folder / "maya")
    actions: list[Callable[[], object]] = [
        lambda: library.find(name),
        lambda: library.remove(name),
        lambda: library.add(name, plain(90)),
    ]
    for action in actions:
        with pytest.raises((InvalidRequest, NotFound)):
            action()
    assert [path.name for path in folder.iterdir()] == ["maya"]


def test_a_broken_avatar_says_what_is_wrong(library: AvatarLibrary, folder: Path) -> None:
    write_artwork(folder / "maya", landmarks=[[0, 0, 0]] * 400)
    with pytest.raises(Unavailable, match=r"avatar\.json: landmarks"):
        library.find("maya")


def test_an_added_avatar_is_there_for_good_and_can_be_removed(
    library: AvatarLibrary, folder: Path, faces: MiddleFace
) -> None:
    added = library.add("me", plain(90))
    assert (added.info.name, added.info.warnings) == ("me", [WARNING])
    again = AvatarLibrary(AvatarSettings(avatar_dir=folder), faces)
    found = again.find("me")
    assert np.array_equal(found.source.portrait, added.source.portrait)
    assert np.array_equal(found.source.landmarks, added.source.landmarks)
    assert files_below(folder) == ["me", "me/avatar.json", "me/portrait.png"]
    library.remove("me")
    assert files_below(folder) == []
    with pytest.raises(NotFound):
        library.find("me")


def test_adding_never_replaces(library: AvatarLibrary, folder: Path) -> None:
    write_artwork(folder / "maya")
    before = files_below(folder)
    with pytest.raises(NameTaken):
        library.add("maya", plain(90))
    assert files_below(folder) == before


def test_what_was_not_added_is_not_removed(library: AvatarLibrary, folder: Path) -> None:
    write_artwork(folder / "maya")
    (folder / "photo.png").write_bytes(plain(90))
    for name in ("maya", "photo.png"):
        with pytest.raises(InvalidRequest, match="not added"):
            library.remove(name)
    assert library.find("maya") and library.find("photo.png")


@pytest.mark.parametrize("data", [b"junk", plain(0), plain(90)[:-40]])
def test_a_failed_addition_leaves_nothing_behind(library: AvatarLibrary, folder: Path, data: bytes) -> None:
    with pytest.raises(ServiceError):
        library.add("me", data)
    assert files_below(folder) == []


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, faces: MiddleFace) -> None:
    (tmp_path / "file").write_text("in the way")
    library = AvatarLibrary(AvatarSettings(avatar_dir=tmp_path / "file" / "avatars"), faces)
    with pytest.raises(Unavailable, match="cannot be written"):
        library.add("me", plain(90))


def test_uploads_are_named_by_content_and_the_oldest_is_forgotten(
    library: AvatarLibrary, folder: Path, faces: MiddleFace
) -> None:
    first, same, second = library.remember(plain(50)), library.remember(plain(50)), library.remember(plain(60))
    assert first is same
    assert first.info.name.startswith("upload-") and first.info.name != second.info.name
    assert library.find(first.info.name) is first
    library.remember(plain(70))
    with pytest.raises(NotFound, match="send the picture again"):
        library.find(second.info.name)
    assert library.find(first.info.name) is first
    assert faces.looked == 3
    assert files_below(folder) == [] and library.list() == []


def test_failed_uploads_are_not_remembered(library: AvatarLibrary, faces: MiddleFace) -> None:
    kept = [library.remember(plain(shade)).info.name for shade in (50, 60)]
    for _ in range(10):
        with pytest.raises(UnsuitableFace):
            library.remember(plain(0))
    for name in kept:
        assert library.find(name).info.name == name


def test_one_picture_is_looked_at_once_however_many_ask(
    library: AvatarLibrary, folder: Path, faces: MiddleFace
) -> None:
    (folder / "photo.png").write_bytes(plain(90))
    start = threading.Barrier(8)

    def find() -> object:
        start.wait()
        return library.find("photo.png")

    with ThreadPoolExecutor(8) as threads:
        found = [work.result() for work in [threads.submit(find) for _ in range(8)]]
    assert len(set(map(id, found))) == 1
    assert faces.looked == 1
