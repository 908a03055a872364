"""What the network of the portrait engine learns from: speech, and what the lips do meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from benchmarks import speakers
from benchmarks.sentences import SENTENCES
from services.avatar.engines.portrait.acoustics import BANDS, OUTPUTS, Features, level_db, mel_power, speech_runs
from services.avatar.engines.portrait.articulation import Articulation, articulate
from services.avatar.engines.portrait.expression import MOUTH_SHAPES
from services.avatar.engines.portrait.instants import Instants
from services.avatar.engines.portrait.phonemes import Phonemes
from services.contract.speech import AudioChunk, Mark, SpeechRequest
from services.contract.video import Timeline
from services.tts.engines.espeak.engine import EspeakEngine

VARIANTS = (
    "Annie", "f1", "f2", "f3", "f4", "f5", "m1", "m2", "m3", "m4", "m6", "m7", "m8", "Alex", "Alicia", "Andrea",
    "Andy", "Denis", "Diogo", "Gene", "Henrique", "Hugo", "Jacky", "Lee", "Marco", "Mario", "Michael", "Mike",
    "Reed", "adam", "anika", "antonio", "aunty", "belinda", "boris", "caleb", "david", "ed", "edward", "gustave",
    "ian", "iven", "john", "klatt", "klatt2", "klatt4", "klatt6", "linda", "marcelo", "max", "pablo", "paul",
    "quincy", "rob", "shelby", "steph", "zac", "grandma",
)  # fmt: skip
ACCENTS = {
    "en": ("en-us", "en-gb"), "de": ("de",), "fr": ("fr",), "es": ("es", "es-419"), "it": ("it",),
    "pt": ("pt-br", "pt-pt"), "ru": ("ru",), "ja": ("ja",), "ko": ("ko",), "zh": ("zh",),
}  # fmt: skip
_CLEAN = 0.35
FRAME_RATES = (24, 25, 25, 25, 30, 60)


@dataclass(frozen=True)
class Lesson:
    """An utterance: what is heard [steps, BANDS], and what the lips do [steps, len(OUTPUTS)]."""

    voice: str
    language: str
    power: Features
    lips: Features
    runs: tuple[slice, ...]


def espeak_lessons(rng: np.random.Generator, readings: int) -> Iterator[Lesson]:
    """Yield every sentence, and twice as many jumbles of words, as `readings` voices of espeak-ng speak them."""
    engine = EspeakEngine()
    for language, accents in ACCENTS.items():
        for text in (*SENTENCES[language], *_jumbles(language, 2 * len(SENTENCES[language]), rng)):
            for variant in rng.choice(VARIANTS, readings, replace=False):
                size = _size(rng)
                voice = f"{rng.choice(accents)}+{variant}"
                speed, pitch = rng.uniform(0.85, 1.35) / size, rng.uniform(0.75, 1.35)
                request = SpeechRequest(text=text, voice=voice, speed=speed, pitch=pitch)
                speech = speakers.espeak(engine, engine.resolve(request))
                yield lesson(str(variant), language, resized(speech, size), rng)
    engine.close()


def recorded_lessons(rng: np.random.Generator, readings: int) -> Iterator[Lesson]:
    """Yield `readings` jumbles of words from each voice made of recordings."""
    for name in speakers.FLITE_VOICES:
        for text in _jumbles("en", readings, rng):
            yield lesson(name, "en", resized(speakers.flite(name, text), _size(rng)), rng)
    for name, voice in speakers.FESTIVAL_VOICES.items():
        for speech in speakers.festival(voice, _jumbles(voice.language, readings, rng)):
            yield lesson(name, voice.language, resized(speech, _size(rng)), rng)


def lesson(voice: str, language: str, speech: AudioChunk, rng: np.random.Generator) -> Lesson:
    """Return what `speech` sounds like and what its phonemes ask of the lips."""
    fps = Fraction(int(rng.choice(FRAME_RATES)))
    frames = Timeline(fps, speech.sample_rate_hz).frames_to_hold(0, speech.samples)
    instants = Instants(fps, speech.sample_rate_hz, 0, frames)
    lips = _lips(articulate(Phonemes().phones(speech.marks), instants))
    runs = tuple(speech_runs(level_db(speech, instants), instants))
    return Lesson(voice, language, mel_power(speech, instants), lips, runs)


def resized(speech: AudioChunk, size: float) -> AudioChunk:
    """Return `speech` from a throat `1 / size` as long: faster, higher, formants too."""
    sound = np.frombuffer(speech.pcm, "<i2").astype(np.float32)
    places = np.arange(int(len(sound) / size)) * size
    pcm = np.interp(places, np.arange(len(sound)), sound).astype("<i2").tobytes()
    marks = tuple(
        Mark(kind=mark.kind, text=mark.text, start_s=mark.start_s / size, end_s=mark.end_s / size)
        for mark in speech.marks
    )
    return replace(speech, pcm=pcm, marks=marks)


def disturbed(power: Features, rng: np.random.Generator) -> Features:
    """Return `power` as another microphone in another room would have heard it; some of it stays clean."""
    if rng.random() < _CLEAN:
        return power * np.float32(10 ** (rng.normal(0, 2) / 10))
    band = np.arange(BANDS) / BANDS
    tilt_db = rng.normal(0, 5) * (2 * band - 1) + rng.normal(0, 3)
    for waves, depth_db in ((rng.uniform(0.5, 2), 3), (rng.uniform(2, 4.5), 2)):
        tilt_db = tilt_db + rng.normal(0, depth_db) * np.cos(2 * np.pi * (waves * band + rng.random()))
    heard = power * 10 ** (tilt_db / 10)
    if rng.random() < 0.5:
        heard = _reverberated(heard, share=rng.uniform(0.1, 0.35), decay=rng.uniform(0.6, 0.85))
    noise_db = rng.uniform(-85, -48) + rng.normal(0, 6) * (band - 0.5)
    heard = heard + 10 ** (noise_db / 10) * rng.chisquare(4, power.shape) / 4
    if rng.random() < 0.15:
        heard[:, rng.integers(15, 22) :] *= 1e-4  # a telephone
    return heard.astype(np.float32)


def _reverberated(power: Features, share: float, decay: float) -> Features:
    tail = np.empty_like(power)
    ringing = np.zeros(BANDS)
    for step, now in enumerate(power):
        ringing = decay * ringing + now
        tail[step] = ringing
    return (1 - share) * power + share * (1 - decay) * tail


def _lips(articulation: Articulation) -> Features:
    """Return the columns the network answers, with the opening that contacts leave."""
    weights = articulation.weights.copy()
    opening = [MOUTH_SHAPES.index(name) for name in ("jaw", "up", "low")]
    weights[:, opening] *= ((1 - articulation.closed) * (1 - 0.85 * articulation.bitten))[:, None]
    shapes = weights[:, [MOUTH_SHAPES.index(name) for name in OUTPUTS[:-2]]]
    return np.column_stack([shapes, articulation.closed, articulation.bitten]).astype(np.float32)


def _jumbles(language: str, count: int, rng: np.random.Generator) -> list[str]:
    """Return `count` rows of words; Chinese is jumbled by characters."""
    text = " ".join(SENTENCES[language]).translate(str.maketrans(",，。、", "    ", ".;:?!？！¿¡-'")).lower()
    words = list(text.replace(" ", "")) if language == "zh" else text.split()
    between, shortest, longest = ("", 10, 24) if language == "zh" else (" ", 5, 12)
    return [between.join(rng.choice(words, rng.integers(shortest, longest))) + "." for _ in range(count)]


def _size(rng: np.random.Generator) -> float:
    return float(rng.choice([1.0, rng.uniform(0.86, 1.2)]))
