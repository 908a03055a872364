"""The Piper engine, with tiny voices in the real library."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import piper
import pytest

from services.contract.errors import EngineFailed, InvalidRequest, Unavailable
from services.contract.speech import SpeechRequest
from services.tts.engines.piper.engine import PiperEngine
from tests.checkpoints.piper import build_piper
from tests.speaking import THREE_SENTENCES, chunks_of, pitch_hz, samples_of, speak, within


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("piper")
    build_piper(folder)
    build_piper(folder, "de_DE-tiny-low", espeak="de", language="German", sample_rate_hz=16_000)
    build_piper(folder, "ru_RU-many-low", espeak="ru", language="Russian", speakers=("anna", "boris"))
    build_piper(folder, "no_NO-tiny-low", espeak="nb", language="Norwegian")
    return folder


@pytest.fixture(scope="session")
def engine(folder: Path) -> Iterator[PiperEngine]:
    engine = PiperEngine(folder)
    yield engine
    engine.close()


def test_every_model_of_the_folder_with_a_description_is_a_voice(engine: PiperEngine) -> None:
    voices = {voice.name: voice.language for voice in engine.voices()}
    assert voices == {
        "de_DE-tiny-low": "de-DE",
        "en_US-tiny-low": "en-US",
        "no_NO-tiny-low": "no-NO",
        "ru_RU-many-low": "ru-RU",
    }
    assert set(engine.languages()) == set(voices.values())
    assert engine.default_voice == "en_US-tiny-low"


@pytest.mark.parametrize(
    ("text", "voice", "rate_hz"),
    [
        ("Hello, how are you today?", "en_US-tiny-low", 22_050),
        ("Guten Morgen, wie geht es Ihnen?", "de_DE-tiny-low", 16_000),
        ("Доброе утро, как дела?", "ru_RU-many-low", 22_050),
    ],
)
def test_the_language_is_found_and_spoken_at_the_voice_s_own_rate(
    engine: PiperEngine, text: str, voice: str, rate_hz: int
) -> None:
    assert engine.resolve(SpeechRequest(text=text)).voice == voice
    speech = speak(engine, text)
    assert speech.sample_rate_hz == rate_hz
    assert speech.duration_s > 0.5
    assert np.abs(samples_of(speech)).max() > 1000


@pytest.mark.parametrize(
    ("asked", "language"), [("German", "de-DE"), ("en-GB", "en-US"), ("de_AT", "de-DE"), ("nb", "no-NO")]
)
def test_languages_go_by_name_and_tag(engine: PiperEngine, asked: str, language: str) -> None:
    assert engine.resolve(SpeechRequest(text="Hallo", language=asked)).language == language


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"voice": "en_US-nobody-low"}, "voice"),
        ({"voice": "en_US-tiny-low#anna"}, "voice"),
        ({"voice": "ru_RU-many-low#clara"}, "voice"),
        ({"voice": "de_DE-tiny-low", "language": "English"}, "voice"),
        ({"language": "French"}, "language"),
        ({"text": "Bonjour, comment allez-vous aujourd'hui ?"}, "language"),
        ({"text": "今日は天気が良い", "language": "en"}, "language"),
        ({"text": "…!?"}, "text"),
    ],
)
def test_what_cannot_be_spoken_is_refused(engine: PiperEngine, fields: dict[str, str], param: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        engine.resolve(SpeechRequest.model_validate({"text": "Hello", **fields}))
    assert refusal.value.param == param


def test_published_voices_are_known_by_their_gender(tmp_path: Path) -> None:
    for name in ("de_DE-kerstin-low", "de_DE-thorsten-medium", "de_DE-thorsten_emotional-low"):
        build_piper(tmp_path, name, espeak="de", language="German")
    engine = PiperEngine(tmp_path)
    assert [voice.gender for voice in engine.voices()] == ["female", "male", "neutral"]
    for gender, voice in (("female", "de_DE-kerstin-low"), ("male", "de_DE-thorsten-medium")):
        utterance = engine.resolve(SpeechRequest(text="Hallo", language="de", voice=gender))
        assert (utterance.voice, utterance.notices) == (voice, ())
    engine.close()


def test_a_gender_that_no_voice_is_known_by_is_answered_by_the_usual_one(engine: PiperEngine) -> None:
    utterance = engine.resolve(SpeechRequest(text="Hallo", language="de", voice="male"))
    assert utterance.voice == "de_DE-tiny-low"
    assert utterance.notices == ("voice: none is known to be male here; de_DE-tiny-low speaks.",)


def test_a_voice_of_several_speakers_speaks_as_each(engine: PiperEngine) -> None:
    anna, boris, usual = (speak(engine, "Да.", voice=f"ru_RU-many-low{who}") for who in ("#anna", "#boris", ""))
    assert usual.pcm == anna.pcm != boris.pcm


@pytest.mark.parametrize("speed", [0.25, 0.5, 2.0, 4.0])
def test_speed_changes_the_length(engine: PiperEngine, speed: float) -> None:
    usual, changed = speak(engine, THREE_SENTENCES), speak(engine, THREE_SENTENCES, speed=speed)
    assert usual.duration_s / changed.duration_s == pytest.approx(speed, rel=0.25)  # durations are whole frames
    assert changed.marks[-1].end_s == pytest.approx(changed.duration_s)


@pytest.mark.parametrize("pitch", [0.5, 1.5])
def test_pitch_changes_the_sound_and_not_the_length(engine: PiperEngine, pitch: float) -> None:
    usual, changed = speak(engine, THREE_SENTENCES), speak(engine, THREE_SENTENCES, pitch=pitch)
    assert changed.duration_s == pytest.approx(usual.duration_s, rel=0.05)
    assert pitch_hz(changed) / pitch_hz(usual) == pytest.approx(pitch, rel=0.1)


def test_marks_are_in_order_inside_the_sound_and_leave_no_gap(engine: PiperEngine) -> None:
    speech = speak(engine, THREE_SENTENCES)
    assert [mark.start_s for mark in speech.marks] == sorted(mark.start_s for mark in speech.marks)
    phonemes = [mark for mark in speech.marks if mark.kind == "phoneme"]
    assert phonemes[0].start_s == 0
    assert phonemes[-1].end_s == pytest.approx(speech.duration_s)
    assert all(before.end_s == pytest.approx(after.start_s) for before, after in pairwise(phonemes))


def test_marks_name_the_phonemes_and_the_words(engine: PiperEngine) -> None:
    speech = speak(engine, 'Hello there, my "friend"! I own 23 apples. Enough?')
    phonemes = [mark.text for mark in speech.marks if mark.kind == "phoneme" and mark.text]
    assert phonemes[:6] == ["h", "ə", "l", "ˈo", "ʊ", "ð"]
    words = {mark.text: mark for mark in speech.marks if mark.kind == "word"}
    assert list(words) == ["Hello", "there", "my", "friend", "Enough"]  # 23 is spoken as two words
    friend = [mark.text for mark in speech.marks if mark.kind == "phoneme" and within(mark, words["friend"])]
    assert friend == ["f", "ɹ", "ˈɛ", "n", "d"]


def test_a_mark_lies_where_its_phoneme_sounds(engine: PiperEngine) -> None:
    """Each phoneme of the tiny voice is a tone of its own."""
    speech = speak(engine, "Papa papa papa papa papa.", language="English")
    starts = [round(mark.start_s * speech.sample_rate_hz) for mark in speech.marks if mark.text == "p"]
    snippets = [samples_of(speech)[start + 50 : start + 250] for start in starts]
    assert len(snippets) >= 8
    assert all(np.corrcoef(snippets[0], snippet)[0, 1] > 0.95 for snippet in snippets)


def test_sound_begins_and_ends_in_silence(engine: PiperEngine) -> None:
    for chunk in chunks_of(engine, THREE_SENTENCES):
        sound = np.abs(samples_of(chunk))
        assert sound.max() > 1000
        assert max(sound[0], sound[-1]) < 10


def test_sentences_come_one_by_one_and_closing_stops_before_the_next(
    engine: PiperEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, spoken = piper.PiperVoice.phoneme_ids_to_audio, []

    def counted(self: piper.PiperVoice, ids: list[int], *given: object, **named: object) -> object:
        spoken.append(ids)
        return made(self, ids, *given, **named)

    monkeypatch.setattr(piper.PiperVoice, "phoneme_ids_to_audio", counted)
    assert len(chunks_of(engine, THREE_SENTENCES)) == len(spoken) == 3
    speech = engine.synthesize(engine.resolve(SpeechRequest(text=THREE_SENTENCES)))
    while not next(speech).pcm:
        pass
    speech.close()
    assert len(spoken) == 4
    assert chunks_of(engine, "Hello again.")


def test_utterances_at_the_same_time_do_not_mix(engine: PiperEngine) -> None:
    texts = [("Hello there, my friend.", "en"), ("Guten Morgen.", "de"), ("Доброе утро.", "ru")] * 4
    alone = [speak(engine, text, language=language) for text, language in texts]
    with ThreadPoolExecutor(len(texts)) as threads:
        together = list(threads.map(lambda asked: speak(engine, asked[0], language=asked[1]), texts))
    assert together == alone


def test_brackets_in_a_text_are_not_taken_for_phonemes(engine: PiperEngine) -> None:
    phonemes = [mark.text for mark in speak(engine, "[[hello]] there").marks if mark.kind == "phoneme" and mark.text]
    assert phonemes == [
        mark.text for mark in speak(engine, "hello there").marks if mark.kind == "phoneme" and mark.text
    ]


def test_what_the_library_raises_is_told_as_the_engine_failing(
    engine: PiperEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> object:
        raise ValueError("no luck")

    monkeypatch.setattr(piper.PiperVoice, "phoneme_ids_to_audio", broken)
    with pytest.raises(EngineFailed, match="no luck"):
        speak(engine, "Hello there.")


def test_few_voices_are_kept_in_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load, loaded = piper.PiperVoice.load, []

    def counted(model: Path, **named: bool) -> piper.PiperVoice:
        loaded.append(model.name[:2])
        return load(model, **named)

    monkeypatch.setattr(piper.PiperVoice, "load", counted)
    engine = PiperEngine(folder, most_loaded=2)
    assert not loaded
    for language in ("en", "de", "en", "ru", "en", "de"):
        speak(engine, "1", language=language)
    assert loaded == ["en", "de", "ru", "de"]
    engine.close()


@pytest.mark.parametrize("kept", [".onnx", ".onnx.json", None])
def test_a_folder_without_a_whole_voice_is_named_with_the_cure(folder: Path, tmp_path: Path, kept: str | None) -> None:
    if kept:
        shutil.copy(folder / f"en_US-tiny-low{kept}", tmp_path)
    with pytest.raises(Unavailable, match=rf"{tmp_path}.*scripts/fetch-models piper"):
        PiperEngine(tmp_path)


def test_a_voice_whose_files_went_away_or_broke_is_named_with_the_cure(tmp_path: Path) -> None:
    model = build_piper(tmp_path)
    engine = PiperEngine(tmp_path)
    model.write_bytes(b"no model")
    with pytest.raises(Unavailable, match=r"en_US-tiny-low\.onnx.*scripts/fetch-models piper"):
        speak(engine, "Hello there.")
    model.unlink()
    with pytest.raises(Unavailable, match=r"en_US-tiny-low\.onnx is missing.*scripts/fetch-models piper"):
        engine.check()
    engine.close()


def test_a_damaged_description_is_named_with_the_cure(tmp_path: Path) -> None:
    build_piper(tmp_path).with_suffix(".onnx.json").write_text("{")
    with pytest.raises(Unavailable, match=r"en_US-tiny-low\.onnx\.json.*scripts/fetch-models piper"):
        PiperEngine(tmp_path)
