"""Sentences on the timeline: whole frames, soft silent edges, no gap between neighbours."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.contract.speech import AudioChunk, Mark
from services.contract.video import FILM_SAMPLE_RATE_HZ, Timeline
from services.gateway.utterance import LEAD_S, PAUSE_S, lay_out

FPS = st.sampled_from([Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(60)])
SAMPLES = st.integers(1, 200_000)


def tone(samples: int) -> bytes:
    return np.full(samples, 8000, "<i2").tobytes()


@given(FPS, st.integers(0, 100_000), st.lists(SAMPLES, min_size=1, max_size=5))
def test_sentences_follow_each_other_without_gap_or_overlap(fps: Fraction, frame: int, lengths: list[int]) -> None:
    timeline, first_frame, total = Timeline(fps), frame, 0
    for samples in lengths:
        laid = lay_out(AudioChunk(tone(samples), FILM_SAMPLE_RATE_HZ), timeline, frame, LEAD_S, min(PAUSE_S.values()))
        frames = timeline.frames_to_hold(frame, laid.samples)
        assert timeline.samples_between(frame, frames) == laid.samples
        frame += frames
        total += laid.samples
    assert total == timeline.samples_between(first_frame, frame - first_frame)


@given(FPS, SAMPLES)
def test_both_edges_are_silent_and_soft(fps: Fraction, samples: int) -> None:
    laid = lay_out(AudioChunk(tone(samples), FILM_SAMPLE_RATE_HZ), Timeline(fps), 7, LEAD_S, min(PAUSE_S.values()))
    heard = np.frombuffer(laid.pcm, "<i2")
    edge = round(0.1 * FILM_SAMPLE_RATE_HZ)
    assert not heard[:edge].any()
    assert not heard[-edge:].any()
    if samples > 2_000:
        assert np.abs(np.diff(heard.astype(int))).max() < 60


def test_marks_move_with_the_sound() -> None:
    mark = Mark(kind="phoneme", text="a", start_s=0.5, end_s=0.6)
    speech = AudioChunk(tone(48_000), FILM_SAMPLE_RATE_HZ, (mark,))
    (moved,) = lay_out(speech, Timeline(Fraction(25)), 0, 0.25, 0.1).marks
    assert (moved.start_s, moved.end_s) == (0.75, 0.85)
