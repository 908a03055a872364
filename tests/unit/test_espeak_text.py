"""What is spoken of a text, in which language, by which voice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from services.contract.errors import InvalidRequest
from services.contract.speech import SpeechRequest
from services.tts.engines.espeak.engine import EspeakEngine
from services.tts.text import speakable


@pytest.fixture(scope="module")
def engine() -> Iterator[EspeakEngine]:
    engine = EspeakEngine()
    yield engine
    engine.close()


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("  Hello\n\n world\t! ", "Hello world !"),
        ("bell\x07 and \x01null\x00", "bell and null"),
        ("Great 👍🏽 work 👩‍💻!", "Great work \u200d !"),
        ("it is 25 °C, 5 €, © 2026", "it is 25 °C, 5 €, © 2026"),
        ("lone \ud800 surrogate", "lone surrogate"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("가", "가"),
    ],
)
def test_only_what_can_be_spoken_is_kept(text: str, spoken: str) -> None:
    assert speakable(text) == spoken


@pytest.mark.parametrize("text", ["", "   ", "😀😀", "…!?", "\x00\x01", "👨‍👩‍👧", "-- --"])
def test_nothing_to_speak_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        speakable(text)
    assert refusal.value.param == "text"


@pytest.mark.parametrize(
    ("language", "tag"),
    [
        ("English", "en-US"),
        ("Chinese", "zh"),
        ("Japanese", "ja"),
        ("Korean", "ko"),
        ("German", "de"),
        ("French", "fr"),
        ("Russian", "ru"),
        ("Portuguese", "pt-BR"),
        ("Spanish", "es"),
        ("italian", "it"),
        ("Norwegian", "nb"),
        ("Chinese (Cantonese)", "yue"),
        ("pt", "pt-BR"),
        ("pt-PT", "pt-PT"),
        ("PT_br", "pt-BR"),
        ("zh-CN", "zh"),
        ("zh-Hant-TW", "zh"),
        ("de-AT", "de"),
        ("en-gb", "en-GB"),
        ("es-MX", "es-419"),
        ("en-GB-x-rp", "en-GB-x-rp"),
    ],
)
def test_languages_go_by_name_and_by_tag(engine: EspeakEngine, language: str, tag: str) -> None:
    request = SpeechRequest(text="1 2 3", language=language)
    assert engine.resolve(request).language == tag


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Hello! A second ago I was only text.", "en-US"),
        ("Hi.", "en-US"),
        ("OK", "en-US"),
        ("123", "en-US"),
        ("Guten Tag, wie geht es Ihnen?", "de"),
        ("Hallo!", "de"),
        ("Bonjour, comment allez-vous ?", "fr"),
        ("Hola", "es"),
        ("Ciao, come stai?", "it"),
        ("Olá, tudo bem com você?", "pt-BR"),
        ("Привет", "ru"),
        ("Привіт, як справи?", "uk"),
        ("こんにちは", "ja"),
        ("今日は天気がいいですね", "ja"),
        ("今天天气很好", "zh"),
        ("안녕하세요", "ko"),
        ("Καλημέρα", "el"),
        ("Dzień dobry, jak się masz?", "pl"),
        ("Hyvää päivää, mitä kuuluu?", "fi"),
        ("สวัสดี", "th"),
    ],
)
def test_auto_finds_the_language(engine: EspeakEngine, text: str, language: str) -> None:
    assert engine.resolve(SpeechRequest(text=text)).language == language


@pytest.mark.parametrize("language", ["Klingonese", "xx", "../../etc/passwd", "en\x00", "!v/f3", "", "-", "a" * 40])
def test_an_unknown_language_is_refused_with_a_hint(engine: EspeakEngine, language: str) -> None:
    with pytest.raises(InvalidRequest, match="GET /v1/engine") as refusal:
        engine.resolve(SpeechRequest(text="Hello", language=language))
    assert refusal.value.param == "language"


@pytest.mark.parametrize("text", ["今日は天気が良い", "안녕하세요 여러분"])
def test_writing_that_a_language_would_only_spell_out_is_refused(engine: EspeakEngine, text: str) -> None:
    with pytest.raises(InvalidRequest, match="Auto"):
        engine.resolve(SpeechRequest(text=text, language="English"))


@pytest.mark.parametrize(
    ("asked", "language", "voice", "tag"),
    [
        ("", "de", "female", "de"),
        ("Male-2", "fr", "male-2", "fr"),
        ("f3", "Korean", "f3", "ko"),
        ("annie", "en", "Annie", "en-US"),
        ("en-gb+f3", "Auto", "en-GB+f3", "en-GB"),
        ("en-gb", "English", "en-GB", "en-GB"),
        ("de+M3", "German", "de+m3", "de"),
    ],
)
def test_voices_go_by_our_names_and_by_those_of_the_library(
    engine: EspeakEngine, asked: str, language: str, voice: str, tag: str
) -> None:
    utterance = engine.resolve(SpeechRequest(text="one two", voice=asked, language=language))
    assert (utterance.voice, utterance.language) == (voice, tag)


@pytest.mark.parametrize(
    "voice", ["nobody", "../../etc/passwd", "en+../../etc/passwd", "en+", "+f3", "xx+f3", "f3\x00", "female-9", "!v/f3"]
)
def test_an_unknown_voice_is_refused_with_a_hint(engine: EspeakEngine, voice: str) -> None:
    with pytest.raises(InvalidRequest, match="GET /v1/engine") as refusal:
        engine.resolve(SpeechRequest(text="Hello", voice=voice))
    assert refusal.value.param == "voice"


def test_a_voice_of_one_language_does_not_speak_another(engine: EspeakEngine) -> None:
    with pytest.raises(InvalidRequest, match="speaks en-GB, not fr"):
        engine.resolve(SpeechRequest(text="Bonjour", voice="en-gb+f3", language="French"))
