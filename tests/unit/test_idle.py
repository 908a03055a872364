"""The idle face: alive, unplanned, and the same for everyone who asks about a moment."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from services.avatar.engines.portrait.idle import Idle, idle
from services.avatar.engines.portrait.noise import uniform, wander

TEN_MINUTES = np.arange(0, 600, 1 / 25)
SEEDS = (0, 1, 7, 2**31)


def as_array(face: Idle) -> np.ndarray:
    return np.array([getattr(face, field.name) for field in dataclasses.fields(face)])


def blink_starts(face: Idle) -> np.ndarray:
    return np.flatnonzero(np.diff((face.blink > 0.5).astype(int)) == 1)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_moment_looks_the_same_from_any_segment(seed: int) -> None:
    whole = as_array(idle(TEN_MINUTES, seed))
    np.testing.assert_array_equal(whole[:, 7_000:7_300], as_array(idle(TEN_MINUTES[7_000:7_300], seed)))


@pytest.mark.parametrize("seed", SEEDS)
def test_blinks_come_as_often_as_people_blink(seed: int) -> None:
    starts = blink_starts(idle(TEN_MINUTES, seed))
    assert 12 <= len(starts) / 10 <= 20
    gaps_s = np.diff(TEN_MINUTES[starts])
    assert gaps_s.std() > 0.8
    assert (gaps_s < 0.5).any()  # a double one
    assert gaps_s.max() < 8


def test_a_blink_closes_fast_and_opens_slower() -> None:
    times_s = np.arange(0, 60, 0.001)
    blink = idle(times_s, 1).blink
    start = np.flatnonzero(blink > 0)[0]
    end = start + np.flatnonzero(blink[start:] == 0)[0]
    shut = start + np.flatnonzero(blink[start:end] == 1)
    assert 0.2 < times_s[end] - times_s[start] < 0.35
    assert times_s[shut[0]] - times_s[start] < 0.6 * (times_s[end] - times_s[shut[-1]])


@pytest.mark.parametrize("fps", [24, 25, 60])
def test_every_blink_is_seen_closed(fps: int) -> None:
    times_s = np.arange(0, 300, 1 / fps)
    blink = idle(times_s, 2).blink
    runs = np.split(blink, np.flatnonzero(blink < 0.02))
    assert all(run.max() > 0.9 for run in runs if len(run) and run.max() > 0.3)


@pytest.mark.parametrize("seed", SEEDS)
def test_eyes_rest_on_the_viewer_and_jump(seed: int) -> None:
    face = idle(TEN_MINUTES, seed)
    aside = np.hypot(face.gaze_x, face.gaze_y - 0.1 * face.blink)
    assert aside.max() <= 0.36
    assert (aside < 0.06).mean() > 0.5
    assert 0.1 < (aside > 0.1).mean() < 0.45
    moving = np.abs(np.diff(face.gaze_x)) > 1e-9
    assert moving.mean() < 0.15  # fixations, with saccades of a frame or two between


def test_nothing_jumps_but_eyes_and_lids() -> None:
    face = idle(TEN_MINUTES, 5)
    limits = {
        "x": 0.004,
        "y": 0.003,
        "roll": 0.006,
        "yaw": 0.012,
        "pitch": 0.008,
        "brow": 0.09,
        "breath": 0.15,
        "smile": 0.01,
    }
    for name, limit in limits.items():
        assert np.abs(np.diff(getattr(face, name))).max() < limit, name


def test_ten_minutes_never_repeat() -> None:
    yaw = idle(TEN_MINUTES, 5).yaw
    piece = yaw[:500] - yaw[:500].mean()
    for start in range(500, len(yaw) - 500, 25):
        other = yaw[start : start + 500] - yaw[start : start + 500].mean()
        assert piece @ other < 0.97 * np.sqrt((piece @ piece) * (other @ other))


def test_faces_with_other_seeds_move_otherwise() -> None:
    one, other = idle(TEN_MINUTES, 1), idle(TEN_MINUTES, 2)
    assert abs(np.corrcoef(one.yaw, other.yaw)[0, 1]) < 0.3
    assert abs(np.corrcoef(one.blink, other.blink)[0, 1]) < 0.3


def test_breath_goes_in_and_out() -> None:
    breath = idle(TEN_MINUTES, 3).breath
    assert breath.min() >= 0
    assert breath.max() <= 1
    breaths = (np.diff((breath > 0.4).astype(int)) == 1).sum()
    assert 10 <= breaths / 10 <= 18


def test_uniform_is_even_and_unrelated_between_neighbours_seeds_and_purposes() -> None:
    cells = np.arange(-50_000, 50_000)
    chance = uniform(cells, 1, "blink")
    assert np.abs(np.histogram(chance, 20, (0, 1))[0] - 5_000).max() < 400
    for other in (uniform(cells + 1, 1, "blink"), uniform(cells, 2, "blink"), uniform(cells, 1, "gaze")):
        assert abs(np.corrcoef(chance, other)[0, 1]) < 0.02


def test_wander_is_smooth_and_bounded() -> None:
    path = wander(np.arange(0, 1_000, 0.01), 2.0, 1, "x")
    assert np.abs(path).max() <= 1
    assert np.abs(np.diff(path, 2)).max() < 2e-3
