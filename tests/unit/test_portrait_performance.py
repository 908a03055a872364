"""A performance depends on the frame's place in the film and on the speech nearby, and on nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import soxr

from services.avatar.engines.portrait.expression import MOUTH_SHAPES, Expression
from services.avatar.engines.portrait.performance import perform
from services.contract.speech import AudioChunk, Mark, SpeechRequest, join_chunks
from services.contract.video import Timeline
from services.tts.engines.espeak.engine import EspeakEngine

NTSC = Fraction(30000, 1001)
JAW, ROUND, PRESS, BITE = (MOUTH_SHAPES.index(name) for name in ("jaw", "round", "press", "bite"))


@pytest.fixture(scope="module")
def engine() -> Iterator[EspeakEngine]:
    engine = EspeakEngine()
    yield engine
    engine.close()


def say(engine: EspeakEngine, text: str, language: str = "en") -> AudioChunk:
    request = SpeechRequest(text=text, language=language)
    return join_chunks(list(engine.synthesize(engine.resolve(request))))


def mouths(expressions: list[Expression]) -> np.ndarray:
    return np.array([expression.mouth for expression in expressions])


def everything(expressions: list[Expression]) -> np.ndarray:
    return np.array(
        [
            [*e.mouth, e.head.x, e.head.y, e.head.roll, e.head.yaw, e.head.pitch, e.blink, *e.gaze, e.brow, e.breath]
            for e in expressions
        ]
    )


@pytest.mark.parametrize("fps", [Fraction(24000, 1001), Fraction(25), NTSC, Fraction(60)])
@pytest.mark.parametrize("samples", [0, 1, 881, 882, 883, 30_000])
@pytest.mark.parametrize("marks", [(), (Mark(kind="phoneme", text="ˈa", start_s=0.0, end_s=0.1),)])
def test_there_is_an_expression_for_every_frame(fps: Fraction, samples: int, marks: tuple[Mark, ...]) -> None:
    speech = AudioChunk(bytes(2 * samples), 22_050, marks)
    assert len(perform(speech, 7, fps, seed=1)) == Timeline(fps, 22_050).frames_to_hold(7, samples)


def film(sentences: list[AudioChunk], fps: Fraction, rate: int) -> tuple[AudioChunk, list[tuple[int, AudioChunk]]]:
    """Return the sentences as one piece of speech, and as segments on whole frames with their first frames."""
    timeline, first_frame, at_s, pieces = Timeline(fps, rate), 0, 0.0, []
    for sentence in sentences:
        frames = timeline.frames_to_hold(first_frame, sentence.samples)
        length = timeline.samples_between(first_frame, frames)
        pieces.append((first_frame, replace(sentence, pcm=sentence.pcm.ljust(2 * length, b"\0"))))
        first_frame += frames
    marks = []
    for first, piece in pieces:
        at_s = timeline.sample_at(first) / rate
        marks += [mark.shifted(at_s) for mark in piece.marks]
    return AudioChunk(b"".join(piece.pcm for _, piece in pieces), rate, tuple(marks)), pieces


def with_silence(speech: AudioChunk, rate: int, silence_s: float) -> AudioChunk:
    """Return `speech` at `rate` with silence at both ends."""
    pcm = soxr.resample(np.frombuffer(speech.pcm, "<i2"), speech.sample_rate_hz, rate).tobytes()
    silence = bytes(2 * round(silence_s * rate))
    return AudioChunk(silence + pcm + silence, rate, tuple(mark.shifted(silence_s) for mark in speech.marks))


@pytest.mark.parametrize(("fps", "rate"), [(Fraction(25), 48_000), (NTSC, 16_000), (Fraction(60), 24_000)])
@pytest.mark.parametrize("marked", [True, False])
def test_segments_cut_in_pauses_join_unseen(engine: EspeakEngine, fps: Fraction, rate: int, marked: bool) -> None:
    texts = ("Bring my map, please.", "Five blue moons!", "Who knows?")
    sentences = [with_silence(say(engine, text), rate, 0.085) for text in texts]
    if not marked:
        sentences = [replace(sentence, marks=()) for sentence in sentences]
    whole, pieces = film(sentences, fps, rate)
    in_one_go = everything(perform(whole, 0, fps, seed=3))
    in_pieces = np.concatenate([everything(perform(piece, first, fps, seed=3)) for first, piece in pieces])
    np.testing.assert_allclose(in_pieces, in_one_go, atol=1e-5)


def test_the_same_frames_come_out_whenever_they_are_asked_for(engine: EspeakEngine) -> None:
    speech = say(engine, "Once more.")
    assert (
        everything(perform(speech, 90, NTSC, seed=1)).tolist() == everything(perform(speech, 90, NTSC, seed=1)).tolist()
    )


@pytest.mark.parametrize("language", ["en", "de", "fr", "ru", "ja", "zh"])
@pytest.mark.parametrize("fps", [Fraction(24), Fraction(25), Fraction(60)])
def test_every_bilabial_is_fully_closed_for_a_frame(engine: EspeakEngine, language: str, fps: Fraction) -> None:
    text = {
        "en": "My map, a big bumpy pump, maybe a lamp and a comb.", "de": "Mama, bitte komm, der Baum am Pumpwerk.",
        "fr": "Maman, un pompier a peint la lampe.", "ru": "Мама, бабушка и папа пьют много пива.",
        "ja": "まめ、ぱん、ぶんぼうぐ、さんぽ。", "zh": "妈妈买面包和苹果。",
    }[language]  # fmt: skip
    speech = say(engine, text, language)
    track = mouths(perform(speech, 0, fps, seed=1))
    bilabials = [m for m in speech.marks if m.kind == "phoneme" and m.text[:1] in ("m", "b", "p") and m.text]
    assert len(bilabials) >= 4
    for mark in bilabials:
        near = track[max(int(mark.start_s * fps) - 2, 0) : int(mark.end_s * fps) + 1]
        held = near[near[:, PRESS].argmax()]
        assert held[PRESS] > 0.78, mark
        assert held[JAW] < 0.02, mark


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(50)])
def test_the_mouth_opens_no_faster_than_a_mouth(engine: EspeakEngine, fps: Fraction) -> None:
    speech = say(engine, "Mama, papa, mark my bar. Ah! Five blue moons, map, bob.")
    for marks in (speech.marks, ()):
        jaw = mouths(perform(replace(speech, marks=marks), 0, fps, seed=1))[:, JAW]
        assert np.diff(jaw).max() <= 9.01 / fps
        assert jaw.max() > 0.6


def test_vowels_take_their_shapes(engine: EspeakEngine) -> None:
    def extreme(text: str, shape: int) -> float:
        return float(mouths(perform(say(engine, text), 0, Fraction(25), seed=1))[:, shape].max())

    assert extreme("ah, ah", JAW) > 2 * extreme("ee, ee", JAW)
    assert extreme("oo, oo", ROUND) > 0.8 > 0.1 > extreme("ee, ee", ROUND)
    assert extreme("five", BITE) > 0.95 > 0.05 > extreme("key", BITE)


@pytest.mark.parametrize("marked", [True, False])
def test_silence_is_a_closed_mouth_in_a_living_face(engine: EspeakEngine, marked: bool) -> None:
    rate, speech = 22_050, say(engine, "Well.")
    marks = tuple(mark.shifted(20) for mark in speech.marks) if marked else ()
    expressions = perform(AudioChunk(bytes(2 * 20 * rate) + speech.pcm, rate, marks), 0, Fraction(25), seed=1)[:480]
    track = mouths(expressions)
    smile = track[:, MOUTH_SHAPES.index("smile")]
    assert np.delete(track, MOUTH_SHAPES.index("smile"), axis=1).max() == 0
    assert 0.1 < smile.min() < smile.max() < 0.3
    alive = everything(expressions)[:, len(MOUTH_SHAPES) :]
    assert (alive.std(axis=0) > 1e-3).all()


def test_the_head_answers_stress_and_rests_in_pauses(engine: EspeakEngine) -> None:
    speech = with_silence(
        say(engine, "Absolutely everybody remembered the wonderful birthday party, and nobody ever wanted to go home."),
        22_050,
        1.0,
    )
    silent = replace(speech, pcm=bytes(len(speech.pcm)), marks=())
    for marks in (speech.marks, ()):
        spoken = everything(perform(replace(speech, marks=marks), 0, Fraction(25), seed=1))
        idle = everything(perform(silent, 0, Fraction(25), seed=1))
        moved = np.abs(spoken - idle)[:, len(MOUTH_SHAPES) :].max(axis=1)
        assert moved[:23].max() == 0
        assert moved[-23:].max() == 0
        assert moved.max() > 0.1


def test_the_sound_alone_moves_the_mouth_like_the_phonemes_do(engine: EspeakEngine) -> None:
    speech = say(engine, "My mother bought five big peppers from the market above the bay.")
    known = mouths(perform(speech, 0, Fraction(25), seed=1))
    heard = mouths(perform(replace(speech, marks=()), 0, Fraction(25), seed=1))
    backwards = known[::-1]
    assert np.corrcoef(known[:, JAW], heard[:, JAW])[0, 1] > 0.8
    assert np.corrcoef(backwards[:, JAW], heard[:, JAW])[0, 1] < 0.5
    assert np.corrcoef(known[:, PRESS], heard[:, PRESS])[0, 1] > 0.7


@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
def test_the_sound_is_read_alike_at_any_rate(engine: EspeakEngine, rate: int) -> None:
    speech = replace(say(engine, "We will meet the whole family at the farm tomorrow."), marks=())
    here = mouths(perform(speech, 0, Fraction(25), seed=1))
    there = mouths(perform(with_silence(speech, rate, 0), 0, Fraction(25), seed=1))
    frames = min(len(here), len(there))
    assert np.corrcoef(here[:frames, JAW], there[:frames, JAW])[0, 1] > (0.8 if rate == 8_000 else 0.97)
