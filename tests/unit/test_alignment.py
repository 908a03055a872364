"""Guessed word times: in order, inside the sound, and where the words are."""

from __future__ import annotations

import numpy as np
import pytest

from services.contract.speech import SpeechRequest, join_chunks
from services.tts.alignment import approximate_words
from services.tts.engines.espeak.engine import EspeakEngine
from services.tts.sound import sound_of

RATE_HZ = 24_000


def test_words_share_the_time_that_is_heard() -> None:
    silence, hum = np.zeros(RATE_HZ, np.float32), np.full(RATE_HZ, 0.3, np.float32)
    marks = approximate_words("Hello world", np.concatenate([silence, hum, silence]), RATE_HZ)
    assert [mark.text for mark in marks] == ["Hello", "world"]
    assert marks[0].start_s == pytest.approx(1.0, abs=0.02)
    assert marks[0].end_s == marks[1].start_s == pytest.approx(1.5, abs=0.02)
    assert marks[1].end_s == pytest.approx(2.0, abs=0.02)
    assert all(mark.approximate for mark in marks)


def test_chinese_characters_are_words() -> None:
    marks = approximate_words("你好。", np.full(RATE_HZ, 0.3, np.float32), RATE_HZ)
    assert [mark.text for mark in marks] == ["你", "好"]


@pytest.mark.parametrize(("text", "sound"), [("...", np.ones(100, np.float32)), ("Hello", np.zeros(0, np.float32))])
def test_nothing_to_align(text: str, sound: np.ndarray) -> None:  # type: ignore[type-arg]
    assert approximate_words(text, sound, RATE_HZ) == ()


def test_guesses_are_near_what_an_engine_knows() -> None:
    engine = EspeakEngine()
    try:
        text = "People who listen to this sentence should hear every single word of it at the right time."
        speech = join_chunks(list(engine.synthesize(engine.resolve(SpeechRequest(text=text, language="en")))))
    finally:
        engine.close()
    known = [mark for mark in speech.marks if mark.kind == "word"]
    guessed = approximate_words(text, sound_of(speech.pcm), speech.sample_rate_hz)
    assert [mark.text for mark in guessed] == [mark.text for mark in known]
    errors_s = [abs(guess.start_s - mark.start_s) for guess, mark in zip(guessed, known, strict=True)]
    assert np.median(errors_s) < 0.15
    assert max(errors_s) < 0.4
