"""The arithmetic between frames and samples: exact at every rate, however long the film."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.contract.video import LipSyncParams, Timeline

RATES = st.sampled_from([8_000, 16_000, 22_050, 24_000, 44_100, 48_000])
FPS = st.sampled_from(
    [Fraction(24), Fraction(25), Fraction(30), Fraction(60), Fraction(24000, 1001), Fraction(30000, 1001)]
)
FRAMES = st.integers(0, 10_000_000)


@given(FPS, RATES, FRAMES)
def test_a_frame_starts_within_half_a_sample_of_its_time(fps: Fraction, rate_hz: int, frame: int) -> None:
    timeline = Timeline(fps, rate_hz)
    assert abs(timeline.sample_at(frame) - frame * rate_hz / fps) <= Fraction(1, 2)


@given(FPS, RATES, FRAMES, st.lists(st.integers(0, 5_000), max_size=20))
def test_segments_laid_end_to_end_cover_the_film_without_gap_or_overlap(
    fps: Fraction, rate_hz: int, first_frame: int, lengths: list[int]
) -> None:
    timeline = Timeline(fps, rate_hz)
    total, frame = 0, first_frame
    for length in lengths:
        total += timeline.samples_between(frame, length)
        frame += length
    assert total == timeline.samples_between(first_frame, sum(lengths))


@given(FPS, RATES, FRAMES, st.integers(0, 50_000_000))
def test_frames_to_hold_is_the_least_number_that_holds(fps: Fraction, rate_hz: int, first: int, samples: int) -> None:
    timeline = Timeline(fps, rate_hz)
    frames = timeline.frames_to_hold(first, samples)
    assert timeline.samples_between(first, frames) >= samples
    assert frames == 0 or timeline.samples_between(first, frames - 1) < samples


@pytest.mark.parametrize(
    ("given_fps", "exact"),
    [
        ("25", Fraction(25)),
        ("29.97", Fraction(30000, 1001)),
        ("30000/1001", Fraction(30000, 1001)),
        ("23.976", Fraction(24000, 1001)),
        ("59.94", Fraction(60000, 1001)),
        ("12.5e1/5", None),
        ("50", Fraction(50)),
    ],
)
def test_ntsc_rates_are_exact_fractions(given_fps: str, exact: Fraction | None) -> None:
    if exact is None:
        with pytest.raises(ValidationError):
            LipSyncParams.model_validate({"avatar": "a", "fps": given_fps})
    else:
        assert LipSyncParams.model_validate({"avatar": "a", "fps": given_fps}).fps == exact


@pytest.mark.parametrize("fps", ["nan", "inf", "1e400", "25/0", "-25", "0", "10", "61", "", "fast", "25.0123456", [25]])
def test_a_senseless_frame_rate_is_refused(fps: object) -> None:
    with pytest.raises(ValidationError):
        LipSyncParams.model_validate({"avatar": "a", "fps": fps})


def test_an_exact_rate_survives_the_query_string() -> None:
    params = LipSyncParams(avatar="a", fps=Fraction(30000, 1001))
    assert LipSyncParams.model_validate(params.model_dump(mode="json")) == params
