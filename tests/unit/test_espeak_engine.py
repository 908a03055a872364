"""The espeak-ng engine with its real worker processes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from services.contract.errors import EngineFailed, InvalidRequest
from services.contract.speech import AudioChunk, SpeechRequest, join_chunks
from services.tts.engine import Utterance
from services.tts.engines.espeak.engine import EspeakEngine
from services.tts.engines.espeak.finish import LEAD_S, TAIL_S
from services.tts.engines.espeak.process import Worker
from services.tts.engines.espeak.voices import STYLES

SENTENCE = "The quick brown fox jumps over the lazy dog, and then it sleeps. "


@pytest.fixture(scope="module")
def engine() -> Iterator[EspeakEngine]:
    engine = EspeakEngine()
    yield engine
    engine.close()


def speak(engine: EspeakEngine, text: str, **fields: object) -> AudioChunk:
    request = SpeechRequest.model_validate({"text": text, "language": "en", **fields})
    return join_chunks(list(engine.synthesize(engine.resolve(request))))


def samples_of(speech: AudioChunk) -> np.ndarray:
    return np.frombuffer(speech.pcm, "<i2").astype(float) / 32768


def test_every_language_speaks_with_marks_inside_the_sound(engine: EspeakEngine) -> None:
    assert len(engine.languages()) > 130
    for language in engine.languages():
        speech = join_chunks(list(engine.synthesize(Utterance("Ma ni 1 2 3", "", language))))
        phonemes = [mark for mark in speech.marks if mark.kind == "phoneme"]
        assert any(mark.text for mark in phonemes), language
        assert phonemes[0].start_s >= 0, language
        assert phonemes[-1].end_s <= speech.duration_s, language
        assert all(before.end_s == after.start_s for before, after in pairwise(phonemes)), language


def test_marks_name_the_phonemes_and_the_words(engine: EspeakEngine) -> None:
    speech = speak(engine, "Hello there, my friend!")
    words = [mark.text for mark in speech.marks if mark.kind == "word"]
    phonemes = [mark.text for mark in speech.marks if mark.kind == "phoneme"]
    assert words == ["Hello", "there", "my", "friend"]
    assert phonemes[:4] == ["h", "ə", "l", "ˈoʊ"]
    assert phonemes[-1] == ""
    assert phonemes.count("") == 2  # at the comma and at the end


def test_marks_lie_where_the_sound_is(engine: EspeakEngine) -> None:
    speech = speak(engine, "Papa, papa, papa.")
    sound = samples_of(speech)
    rate = speech.sample_rate_hz

    def power(start_s: float, end_s: float) -> float:
        return float(np.mean(sound[round(start_s * rate) : round(end_s * rate)] ** 2))

    pauses = [mark for mark in speech.marks if mark.text == ""][:-1]
    vowels = [mark for mark in speech.marks if mark.text.startswith("ˈ")]
    assert len(pauses) == 2
    assert len(vowels) == 3
    quiet = max(power(mark.start_s + 0.15, mark.end_s) for mark in pauses)
    assert quiet < 0.001 * min(power(mark.start_s, mark.end_s) for mark in vowels)


def test_silence_around_the_speech_is_short_and_known(engine: EspeakEngine) -> None:
    speech = speak(engine, SENTENCE, voice="male")
    heard = np.flatnonzero(np.abs(samples_of(speech)) > 0.002) / speech.sample_rate_hz
    assert heard[0] == pytest.approx(LEAD_S, abs=0.01)
    assert speech.duration_s - heard[-1] == pytest.approx(TAIL_S, abs=0.01)
    assert samples_of(speech)[0] == samples_of(speech)[-1] == 0


@pytest.mark.parametrize("speed", [0.25, 0.5, 1.0, 2.0, 4.0])
def test_speed_changes_the_length_and_marks_follow(engine: EspeakEngine, speed: float) -> None:
    usual, speech = speak(engine, SENTENCE), speak(engine, SENTENCE, speed=speed)
    assert speech.duration_s == pytest.approx(usual.duration_s / speed, rel=0.25)
    last = [mark for mark in speech.marks if mark.text][-1]
    heard = np.flatnonzero(np.abs(samples_of(speech)) > 0.01)[-1] / speech.sample_rate_hz
    assert last.end_s == pytest.approx(heard, abs=0.1 + 0.05 / speed)


def pitch_hz(speech: AudioChunk) -> float:
    """Return the median fundamental frequency, by autocorrelation."""
    sound, rate = samples_of(speech), speech.sample_rate_hz
    frames = [sound[start : start + 1024] * np.hanning(1024) for start in range(0, len(sound) - 1024, 512)]
    found = []
    for frame in frames:
        correlation = np.correlate(frame, frame, "full")[1023:]
        lag = int(np.argmax(correlation[rate // 500 : rate // 50])) + rate // 500
        if correlation[lag] > 0.4 * correlation[0] > 0.001:
            found.append(rate / lag)
    return float(np.median(found))


def test_pitch_and_voices_are_heard(engine: EspeakEngine) -> None:
    usual = pitch_hz(speak(engine, SENTENCE, voice="male"))
    for pitch in (0.7, 1.4, 2.0):
        assert pitch_hz(speak(engine, SENTENCE, voice="male", pitch=pitch)) == pytest.approx(pitch * usual, rel=0.1)
    for name, style in STYLES.items():
        expected = (170, 250) if style.gender == "female" else (85, 135)
        assert expected[0] < pitch_hz(speak(engine, SENTENCE, voice=name)) < expected[1], name


def test_voices_sound_different(engine: EspeakEngine) -> None:
    assert len({speak(engine, "Hello", voice=voice.name).pcm for voice in engine.voices()}) == len(STYLES)


@pytest.mark.parametrize(
    ("text", "language"), [("今日は123人です。", "ja"), ("今天有123个人。", "zh"), ("오늘은 123명입니다.", "ko")]
)
def test_east_asian_writing_is_spoken_and_not_spelled(engine: EspeakEngine, text: str, language: str) -> None:
    speech = speak(engine, text, language=language)
    assert 1 < speech.duration_s < 5  # "Chinese letter, Chinese letter …" takes longer


def test_the_first_chunk_does_not_wait_for_the_last(engine: EspeakEngine) -> None:
    chunks = list(engine.synthesize(engine.resolve(SpeechRequest(text=SENTENCE * 50))))
    assert len(chunks) > 50
    assert all(chunk.pcm for chunk in chunks)
    assert sum(len(chunk.marks) for chunk in chunks[:2]) > 10


def test_closing_stops_the_worker_and_keeps_it(engine: EspeakEngine) -> None:
    pids = []
    for _ in range(3):
        worker = engine._idle[-1]
        pids.append(worker.pid)
        speech = engine.synthesize(engine.resolve(SpeechRequest(text=SENTENCE * 70)))
        next(speech)
        speech.close()
        assert engine._idle[-1] is worker
    assert len(set(pids)) == 1
    assert speak(engine, "Still here").duration_s > 0.5


def test_a_killed_worker_costs_one_utterance(engine: EspeakEngine) -> None:
    pid = engine._idle[-1].pid
    speech = engine.synthesize(engine.resolve(SpeechRequest(text=SENTENCE * 70)))
    next(speech)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(EngineFailed, match="worker died"):
        for _ in speech:
            pass
    assert speak(engine, "Again").duration_s > 0.3
    assert engine._idle[-1].pid != pid


def test_a_worker_killed_at_rest_costs_nothing(engine: EspeakEngine) -> None:
    speak(engine, "One")
    os.kill(engine._idle[-1].pid, signal.SIGKILL)
    time.sleep(0.05)
    engine.check()
    assert speak(engine, "Two").duration_s > 0.3


def test_a_hanging_worker_is_replaced(engine: EspeakEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.tts.engines.espeak.process._ANSWER_TIMEOUT_S", 0.1)
    speak(engine, "One")
    os.kill(engine._idle[-1].pid, signal.SIGSTOP)
    with pytest.raises(EngineFailed, match="said nothing"):
        speak(engine, "Two")
    monkeypatch.undo()
    assert speak(engine, "Three").duration_s > 0.3


def test_a_worker_ends_when_its_engine_is_gone() -> None:
    worker = Worker()
    worker._connection.close()
    assert worker._process.wait(timeout=10) == 0


def test_text_the_library_has_no_sound_for_is_refused(engine: EspeakEngine) -> None:
    with pytest.raises(InvalidRequest, match="nothing in it can be spoken"):
        list(engine.synthesize(Utterance("\u200d", "female", "en-US")))
