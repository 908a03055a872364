"""Ways through an avatar's motion."""

from __future__ import annotations

from itertools import pairwise

import pytest

from services.contract.errors import InvalidRequest
from services.contract.motion import MotionPath


def moments(start: int, end: int, frames: int) -> list[float]:
    path = MotionPath(start, end, frames)
    return [float(path.at(frame)) for frame in range(frames)]


def test_at_its_own_pace_it_is_the_film() -> None:
    assert moments(10, 15, 5) == [10, 11, 12, 13, 14]


def test_a_way_a_little_longer_or_shorter_is_gone_faster_or_slower() -> None:
    assert moments(0, 8, 4 * 2) == [*range(8)]
    assert moments(0, 6, 4) == [0, 1.5, 3, 4.5]
    assert moments(0, 3, 4) == [0, 0.75, 1.5, 2.25]


@pytest.mark.parametrize(("span", "frames"), [(0, 8), (2, 9), (-3, 10), (-10, 10)])
def test_a_short_way_is_gone_forth_and_back(span: int, frames: int) -> None:
    way = [*moments(20, 20 + span, frames), 20 + span]
    assert way[0] == 20
    assert all(abs(after - before) <= 1 for before, after in pairwise(way))
    assert max(way) <= 20 + (frames + span) / 2


def test_a_way_that_is_too_long_is_refused() -> None:
    MotionPath(0, 12, 8)
    for end in (13, -9):
        with pytest.raises(InvalidRequest):
            MotionPath(0, end, 8)
