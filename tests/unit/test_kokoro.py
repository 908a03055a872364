"""The Kokoro engine, with a tiny model in the real library."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from kokoro_onnx import Kokoro

from services.contract.errors import EngineFailed, InvalidRequest, Unavailable
from services.contract.speech import SpeechRequest
from services.tts.engines.kokoro.engine import KokoroEngine
from services.tts.engines.kokoro.phonemes import Phonemes, sentences_of
from tests.checkpoints.kokoro import VOICES, build_kokoro
from tests.speaking import THREE_SENTENCES, chunks_of, pitch_hz, samples_of, speak, within


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return build_kokoro(tmp_path_factory.mktemp("kokoro"))


@pytest.fixture(scope="session")
def engine(files: tuple[Path, Path]) -> Iterator[KokoroEngine]:
    engine = KokoroEngine(*files)
    yield engine
    engine.close()


def test_the_voices_are_those_of_the_file_and_their_names_tell_language_and_gender(engine: KokoroEngine) -> None:
    voices = {voice.name: voice for voice in engine.voices()}
    assert set(voices) == set(VOICES)
    assert engine.default_voice == "af_heart"
    assert (voices["bm_george"].language, voices["bm_george"].gender) == ("en-GB", "male")
    assert (voices["ff_siwi"].language, voices["ff_siwi"].gender) == ("fr", "female")
    assert set(engine.languages()) == {"en-US", "en-GB", "es", "fr", "hi", "it", "ja", "pt-BR", "zh"}


@pytest.mark.parametrize(
    ("text", "voice", "language"),
    [
        ("Hello, how are you today?", "af_heart", "en-US"),
        ("Hola, ¿cómo estás? Me llamo Ana.", "ef_dora", "es"),
        ("Bonjour, comment allez-vous ?", "ff_siwi", "fr"),
        ("नमस्ते, आप कैसे हैं?", "hm_omega", "hi"),
        ("Buongiorno, come stai oggi?", "if_sara", "it"),
        ("今日は天気が良いですね。", "jf_alpha", "ja"),
        ("Olá, você não está bem hoje?", "pm_alex", "pt-BR"),
        ("你好，世界。", "zf_xiaoni", "zh"),
    ],
)
def test_every_language_is_found_and_spoken(engine: KokoroEngine, text: str, voice: str, language: str) -> None:
    utterance = engine.resolve(SpeechRequest(text=text))
    assert (utterance.voice, utterance.language) == (voice, language)
    speech = speak(engine, text)
    assert len([mark for mark in speech.marks if mark.kind == "phoneme" and mark.text]) >= 5
    assert speech.duration_s > 0.5
    assert np.abs(samples_of(speech)).max() > 1000


@pytest.mark.parametrize(
    ("asked", "voice"), [("English", "af_heart"), ("en-GB", "bm_george"), ("en_AU", "af_heart"), ("pt", "pm_alex")]
)
def test_a_language_has_a_default_voice(engine: KokoroEngine, asked: str, voice: str) -> None:
    assert engine.resolve(SpeechRequest(text="Hello", language=asked)).voice == voice


def test_a_voice_may_be_asked_for_in_any_case_and_brings_its_language(engine: KokoroEngine) -> None:
    utterance = engine.resolve(SpeechRequest(text="Hello there", voice="BM_George"))
    assert (utterance.voice, utterance.language) == ("bm_george", "en-GB")


@pytest.mark.parametrize(
    ("text", "asked", "gender", "voice"),
    [
        ("Good morning.", "English", "female", "af_heart"),
        ("Good morning to you all.", "Auto", "male", "am_adam"),
        ("Good morning.", "en-GB", "male", "bm_george"),
        ("Good morning.", "en-GB", "female", "af_heart"),
        ("Bonjour à tous, comment allez-vous ?", "Auto", "Female", "ff_siwi"),
    ],
)
def test_a_gender_is_a_voice_of_the_language(
    engine: KokoroEngine, text: str, asked: str, gender: str, voice: str
) -> None:
    utterance = engine.resolve(SpeechRequest(text=text, language=asked, voice=gender))
    assert (utterance.voice, utterance.notices) == (voice, ())


def test_a_gender_that_no_voice_of_the_language_has_is_told(engine: KokoroEngine) -> None:
    utterance = engine.resolve(SpeechRequest(text="Bonjour à tous.", language="fr", voice="male"))
    assert utterance.voice == "ff_siwi"
    assert utterance.notices == ("voice: none is known to be male here; ff_siwi speaks.",)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"voice": "af_nobody"}, "voice"),
        ({"language": "German"}, "language"),
        ({"text": "Guten Morgen, wie geht es Ihnen heute?"}, "language"),
        ({"voice": "ff_siwi", "language": "English"}, "voice"),
        ({"text": "今日は天気が良い", "language": "en"}, "language"),
        ({"text": "…!?"}, "text"),
    ],
)
def test_what_cannot_be_spoken_is_refused(engine: KokoroEngine, fields: dict[str, str], param: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        engine.resolve(SpeechRequest.model_validate({"text": "Hello", **fields}))
    assert refusal.value.param == param


def test_voices_sound_different(engine: KokoroEngine) -> None:
    text = "Good morning."
    assert speak(engine, text, voice="af_heart").pcm == speak(engine, text, voice="af_heart").pcm
    assert speak(engine, text, voice="af_heart").pcm != speak(engine, text, voice="am_adam").pcm


@pytest.mark.parametrize("speed", [0.25, 0.5, 2.0, 4.0])
def test_speed_changes_the_length(engine: KokoroEngine, speed: float) -> None:
    text = "Good morning to you and everybody else."
    usual, changed = speak(engine, text), speak(engine, text, speed=speed)
    assert usual.duration_s / changed.duration_s == pytest.approx(speed, rel=0.25)  # durations are whole frames
    assert changed.marks[-1].end_s == pytest.approx(changed.duration_s, abs=0.05)


@pytest.mark.parametrize("pitch", [0.5, 1.5])
def test_pitch_changes_the_sound_and_not_the_length(engine: KokoroEngine, pitch: float) -> None:
    usual, changed = speak(engine, THREE_SENTENCES), speak(engine, THREE_SENTENCES, pitch=pitch)
    assert changed.duration_s == pytest.approx(usual.duration_s, rel=0.05)
    assert pitch_hz(changed) / pitch_hz(usual) == pytest.approx(pitch, rel=0.1)


def test_marks_are_in_order_inside_the_sound_and_leave_no_gap(engine: KokoroEngine) -> None:
    speech = speak(engine, THREE_SENTENCES)
    assert [mark.start_s for mark in speech.marks] == sorted(mark.start_s for mark in speech.marks)
    phonemes = [mark for mark in speech.marks if mark.kind == "phoneme"]
    assert phonemes[0].start_s == 0
    assert phonemes[-1].end_s == pytest.approx(speech.duration_s)
    assert all(before.end_s == pytest.approx(after.start_s) for before, after in pairwise(phonemes))
    assert all(mark.start_s < mark.end_s for mark in speech.marks)


def test_marks_name_the_phonemes_and_the_words(engine: KokoroEngine) -> None:
    speech = speak(engine, 'Hello there, my "friend"! I own 23 apples. Enough?')
    phonemes = [mark.text for mark in speech.marks if mark.kind == "phoneme" and mark.text]
    assert phonemes[:6] == ["h", "ə", "l", "ˈo", "ʊ", "ð"]
    words = {mark.text: mark for mark in speech.marks if mark.kind == "word"}
    assert list(words) == ["Hello", "there", "my", "friend", "Enough"]  # 23 is spoken as two words
    friend = [mark.text for mark in speech.marks if mark.kind == "phoneme" and within(mark, words["friend"])]
    assert friend == ["f", "ɹ", "ˈɛ", "n", "d"]


def test_a_mark_lies_where_its_phoneme_sounds(engine: KokoroEngine) -> None:
    """Each phoneme of the tiny model is a tone of its own."""
    speech = speak(engine, "Papa. Papa papa papa papa papa.")
    sound = samples_of(speech) - samples_of(speech).mean()
    starts = [round(mark.start_s * 24_000) for mark in speech.marks if mark.text == "p"]
    snippets = [sound[start + 200 : start + 500] for start in starts[1:]]
    assert len(snippets) >= 8
    assert all(np.corrcoef(snippets[0], snippet)[0, 1] > 0.95 for snippet in snippets)


def test_a_model_without_timings_speaks_without_marks(tmp_path: Path) -> None:
    engine = KokoroEngine(*build_kokoro(tmp_path, timings=False))
    assert not engine.phoneme_marks
    speech = speak(engine, "Hello there.")
    assert speech.duration_s > 0.5
    assert not speech.marks
    engine.close()


def test_sound_begins_and_ends_in_silence(engine: KokoroEngine) -> None:
    for chunk in chunks_of(engine, THREE_SENTENCES):
        sound = np.abs(samples_of(chunk))
        assert sound.max() > 1000
        assert max(sound[:3].max(), sound[-3:].max()) < 200


def test_loud_models_are_clipped(engine: KokoroEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Kokoro.create_timed

    def louder(self: Kokoro, *given: object, **named: object) -> object:
        sound, rate, timings = made(self, *given, **named)
        return sound * 50, rate, timings

    usual = samples_of(speak(engine, "Hello there."))
    monkeypatch.setattr(Kokoro, "create_timed", louder)
    loud = samples_of(speak(engine, "Hello there."))
    assert np.abs(loud).max() == 32767
    same_sign = np.sign(loud) == np.sign(usual)
    assert same_sign[np.abs(usual) > 1].all()


def test_sentences_come_one_by_one_and_closing_stops_before_the_next(
    engine: KokoroEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, spoken = Kokoro.create_timed, []

    def counted(self: Kokoro, phonemes: str, *given: object, **named: object) -> object:
        spoken.append(phonemes)
        return made(self, phonemes, *given, **named)

    monkeypatch.setattr(Kokoro, "create_timed", counted)
    assert len(chunks_of(engine, THREE_SENTENCES)) == len(spoken) == 3
    speech = engine.synthesize(engine.resolve(SpeechRequest(text=THREE_SENTENCES)))
    while not next(speech).pcm:
        pass
    speech.close()
    assert len(spoken) == 4
    assert chunks_of(engine, "Hello again.")


def test_closing_does_not_wait_for_the_library(engine: KokoroEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    made, stuck = Kokoro.create_timed, threading.Event()

    def slow(self: Kokoro, *given: object, **named: object) -> object:
        stuck.wait(60)
        return made(self, *given, **named)

    monkeypatch.setattr(Kokoro, "create_timed", slow)
    speech = engine.synthesize(engine.resolve(SpeechRequest(text=THREE_SENTENCES)))
    assert next(speech).pcm == b""
    speech.close()
    stuck.set()


def test_utterances_at_the_same_time_do_not_mix(engine: KokoroEngine) -> None:
    texts = [("Hello there, my friend.", "en"), ("Bonjour à tous.", "fr"), ("Buongiorno a tutti.", "it")] * 4
    alone = [speak(engine, text, language=language) for text, language in texts]
    with ThreadPoolExecutor(len(texts)) as threads:
        together = list(threads.map(lambda asked: speak(engine, asked[0], language=asked[1]), texts))
    assert together == alone


def test_what_the_library_raises_is_told_as_the_engine_failing(
    engine: KokoroEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> object:
        raise ValueError("no luck")

    monkeypatch.setattr(Kokoro, "create_timed", broken)
    with pytest.raises(EngineFailed, match="no luck"):
        speak(engine, "Hello there.")


def test_sound_that_is_none_is_told_as_the_engine_failing(
    engine: KokoroEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Kokoro, "create_timed", lambda *_, **__: (np.full(24_000, np.nan, np.float32), 24_000, []))
    with pytest.raises(EngineFailed):
        speak(engine, "Hello there.")


@pytest.mark.parametrize("missing", [0, 1])
def test_missing_files_are_named_with_the_cure(files: tuple[Path, Path], tmp_path: Path, missing: int) -> None:
    paths = list(files)
    paths[missing] = tmp_path / "absent"
    with pytest.raises(Unavailable, match=r"absent.*scripts/fetch-models kokoro"):
        KokoroEngine(*paths)


@pytest.mark.parametrize("damaged", [0, 1])
def test_damaged_files_are_named_with_the_cure(files: tuple[Path, Path], tmp_path: Path, damaged: int) -> None:
    paths = list(files)
    paths[damaged] = tmp_path / "damaged"
    paths[damaged].write_bytes(files[damaged].read_bytes()[:1000])
    with pytest.raises(Unavailable, match=r"damaged.*scripts/fetch-models kokoro"):
        KokoroEngine(*paths)


def test_the_revision_changes_with_the_weights(files: tuple[Path, Path], engine: KokoroEngine, tmp_path: Path) -> None:
    again = KokoroEngine(*files)
    other = KokoroEngine(*build_kokoro(tmp_path, timings=False))
    assert again.revision == engine.revision != other.revision


def test_a_word_of_another_language_is_read_without_naming_that_language(engine: KokoroEngine) -> None:
    phonemes = Phonemes(engine._kokoro.tokenizer.vocab)
    assert "(en)" not in phonemes.of("世界 Wi-Fi", "cmn")
    assert phonemes.of("世界", "ja").replace("ˈ", "").replace("ˌ", "") == "sekai"
    assert phonemes.of("你好。再见。", "cmn").count(".") == 2


def test_short_sentences_are_spoken_together() -> None:
    assert sentences_of("a. b. c.") == ["a. b. c."]
    long = "d" * 30
    assert sentences_of(f"{long}. {long}! a.") == [f"{long}.", f"{long}! a."]
    assert sentences_of(f"a. {long}? {long}.") == [f"a. {long}?", f"{long}."]
