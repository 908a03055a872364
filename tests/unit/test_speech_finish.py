"""The finished sound: level, peaks and edges, measured by FFmpeg's own meter."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import imageio_ffmpeg
import numpy as np
import pytest

from services.contract.speech import AudioChunk, SpeechRequest, join_chunks
from services.tts.engines.espeak.engine import EspeakEngine
from services.tts.engines.espeak.trim import SilenceTrimmer
from services.tts.engines.espeak.voices import STYLES
from services.tts.filters import FilterChain
from services.tts.loudness import integrated_loudness_lufs

RATE = 22_050

TEXTS = {
    "en": "Hello! A second ago I was only text, and now I can tell you about the weather.",
    "zh": "你好！一秒钟前我只是文字，现在我可以和你谈谈天气。",
    "ja": "こんにちは。一秒前、私はただの文字でした。",
    "ko": "안녕하세요! 조금 전까지 저는 글자였습니다.",
    "de": "Guten Tag! Vor einer Sekunde war ich nur Text.",
    "fr": "Bonjour ! Il y a une seconde, je n'étais que du texte.",
    "ru": "Привет! Секунду назад я была просто текстом.",
    "pt": "Olá! Há um segundo eu era apenas texto.",
    "es": "¡Hola! Hace un segundo yo era solo texto.",
    "it": "Ciao! Un secondo fa ero soltanto un testo.",
}


@pytest.fixture(scope="module")
def engine() -> Iterator[EspeakEngine]:
    engine = EspeakEngine()
    yield engine
    engine.close()


def speak(engine: EspeakEngine, text: str, language: str, voice: str = "") -> AudioChunk:
    request = SpeechRequest(text=text, language=language, voice=voice)
    return join_chunks(list(engine.synthesize(engine.resolve(request))))


def metered(speech: AudioChunk) -> tuple[float, float]:
    """Return the integrated loudness in LUFS and the true peak in dBFS."""
    source = ["-f", "s16le", "-ar", str(speech.sample_rate_hz), "-ac", "1", "-i", "pipe:0"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", *source, "-af", "ebur128=peak=true", "-f", "null", "-"]
    report = subprocess.run(command, input=speech.pcm, capture_output=True, check=True).stderr.decode()
    summary = report[report.index("Summary") :]
    loudness, peak = (re.search(pattern, summary) for pattern in (r"I:\s+(\S+) LUFS", r"Peak:\s+(\S+) dBFS"))
    assert loudness is not None
    assert peak is not None
    return float(loudness[1]), float(peak[1])


@pytest.mark.parametrize("language", list(TEXTS))
def test_every_voice_is_as_loud_in_every_language(engine: EspeakEngine, language: str) -> None:
    for voice in STYLES:
        loudness_lufs, peak_dbfs = metered(speak(engine, TEXTS[language], language, voice))
        assert loudness_lufs == pytest.approx(-16, abs=1), voice
        assert peak_dbfs <= -1, voice


@pytest.mark.parametrize("text", ["Yes, of course.", TEXTS["en"] * 20])
def test_short_and_long_texts_are_as_loud(engine: EspeakEngine, text: str) -> None:
    loudness_lufs, peak_dbfs = metered(speak(engine, text, "en"))
    assert loudness_lufs == pytest.approx(-16, abs=1)
    assert peak_dbfs <= -1


def test_our_meter_agrees_with_ffmpegs() -> None:
    time_s = np.arange(RATE * 6) / RATE
    tones = sum(np.sin(2 * np.pi * frequency_hz * time_s) for frequency_hz in (80, 300, 1_000, 4_000, 9_000)) / 5
    sound = (tones * np.repeat([0.9, 0.0, 0.1, 0.6, 0.001, 0.3], RATE)).astype(np.float32)
    speech = AudioChunk((sound * 32767).astype("<i2").tobytes(), RATE)
    assert integrated_loudness_lufs(sound, RATE) == pytest.approx(metered(speech)[0], abs=0.15)


def test_silence_has_no_loudness() -> None:
    assert integrated_loudness_lufs(np.zeros(RATE, np.float32), RATE) == -np.inf


def test_speech_begins_and_ends_without_a_click(engine: EspeakEngine) -> None:
    for text in ("Ah", "Papa", "Six."):
        sound = np.frombuffer(speak(engine, text, "en").pcm, "<i2").astype(float) / 32768
        assert np.abs(sound[:20]).max() < 0.001
        assert np.abs(sound[-20:]).max() < 0.001


@pytest.mark.parametrize("piece", [100, 441, 4_000, 50_000])
def test_silence_is_trimmed_the_same_however_the_sound_arrives(piece: int) -> None:
    sound = np.zeros(20_000, np.float32)
    sound[5_000:9_000] = 0.5
    sound[12_000:13_000] = 0.5
    trimmer = SilenceTrimmer(10_000, lead_s=0.05, tail_s=0.1)
    pieces = [trimmer.push(sound[start : start + piece]) for start in range(0, len(sound), piece)]
    trimmed = np.concatenate([*pieces, trimmer.finish()])
    assert trimmer.removed_samples == 4_500
    assert np.array_equal(trimmed, sound[4_500:14_000])


def test_silence_is_added_where_there_is_too_little() -> None:
    trimmer = SilenceTrimmer(10_000, lead_s=0.05, tail_s=0.1)
    trimmed = np.concatenate([trimmer.push(np.full(100, 0.5, np.float32)), trimmer.finish()])
    assert trimmer.removed_samples == -500
    assert np.flatnonzero(trimmed).tolist() == list(range(500, 600))
    assert len(trimmed) == 1_600


def test_silence_alone_becomes_nothing() -> None:
    trimmer = SilenceTrimmer(10_000, lead_s=0.05, tail_s=0.1)
    assert len(trimmer.push(np.zeros(9_000, np.float32))) == len(trimmer.finish()) == 0


@pytest.mark.parametrize("piece", [64, 1_000, 30_000])
def test_filters_do_not_care_how_the_sound_arrives(piece: int) -> None:
    sound = np.random.default_rng(1).standard_normal(30_000).astype(np.float32) * np.float32(0.1)
    filters = [("highpass", "f=200"), ("equalizer", "f=3000:t=o:w=1:g=-6")]
    whole, pieced = FilterChain(RATE, filters), FilterChain(RATE, filters)
    expected = np.concatenate([whole.push(sound), whole.finish()])
    pieces = [pieced.push(sound[start : start + piece]) for start in range(0, len(sound), piece)]
    assert np.allclose(np.concatenate([*pieces, pieced.finish()]), expected, atol=1e-6)
    assert len(expected) == len(sound)
