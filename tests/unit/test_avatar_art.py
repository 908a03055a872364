"""Every shipped avatar is complete, free to use, and knows where its features are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from services.avatar.artwork import BACKGROUND, CLOSED_EYES, read_avatar
from services.avatar.engines.portrait.geometry import EYES, LOWER_INNER, UPPER_INNER, face_of

AVATARS = sorted(path for path in (Path(__file__).parents[2] / "avatars").iterdir() if path.is_dir())


def test_there_are_at_least_four_of_both_voices() -> None:
    voices = [read_avatar(path).info.voice for path in AVATARS]
    assert len(voices) >= 4
    assert {"female", "male"} == set(voices)


@pytest.mark.parametrize("path", AVATARS, ids=lambda path: path.name)
def test_an_avatar_is_complete_and_free(path: Path) -> None:
    avatar = read_avatar(path)
    assert avatar.info.license == "CC0-1.0"
    assert (avatar.info.width, avatar.info.height) == (1536, 1536)
    assert (path / BACKGROUND).exists() and (path / CLOSED_EYES).exists()
    assert avatar.source.background is not None
    assert avatar.source.background.shape[1] * 9 >= avatar.source.background.shape[0] * 16 - 9
    assert avatar.source.matte is not None
    assert 0.2 < avatar.source.matte.mean() / 255 < 0.8


@pytest.mark.parametrize("path", AVATARS, ids=lambda path: path.name)
def test_landmarks_fit_the_drawing(path: Path) -> None:
    source = read_avatar(path).source
    face = face_of(source.landmarks)
    assert face.points.min() > 0 and face.points.max() < 1536
    assert np.allclose(face.points[list(UPPER_INNER)], face.points[list(LOWER_INNER)]), "the mouth is closed"
    assert source.closed_eyes is not None
    for eye in EYES:
        x, y = face.points[eye.iris].round().astype(int)
        top, bottom = face.points[list(eye.upper), 1].min(), face.points[list(eye.lower), 1].max()
        assert top < y < bottom
        opened, closed = source.portrait[y, x].mean(), source.closed_eyes[y, x].mean()
        assert closed > opened + 25, "the closed lid hides the iris"
