"""Do the lips fit the sound? Exits with 1 when a gate is missed.

    python -m benchmarks.lipsync

Two illustrated avatars and a photo speak three languages, once with phoneme marks and once from the
sound alone. On the frames that come out, a face mesh the renderer has no part in finds the mouth again.
The gap of the inner lips is compared with how open the phonemes want it, and with the loudness.

The measure itself is on trial too: with the sound 4 frames late or 3 early the lag must say so, and
with the sound reversed the correlation must collapse.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
import typer
from rich.progress import track

from benchmarks.lipsync_measure import Track, agreement, closures, loudness, phoneme_openness
from benchmarks.mouth_watch import MouthWatcher
from benchmarks.report import report
from services.avatar.artwork import read_avatar
from services.avatar.engine import AvatarSource, FrameSize
from services.avatar.engines.portrait.engine import PortraitEngine
from services.avatar.face.finder import MeshFaceFinder
from services.contract.speech import AudioChunk, SpeechRequest, join_chunks
from services.contract.video import FILM_SAMPLE_RATE_HZ
from services.tts.engines.espeak.engine import EspeakEngine
from services.tts.resample import resampled

FPS = Fraction(25)
SIZE = FrameSize(1024, 1024)
"""Large enough that a lip a little open is more than a few pixels to the watcher."""

MODELS, AVATARS = Path("models"), Path("avatars")
ILLUSTRATED = 2

TEXTS = {
    "en": (
        "Hello, and welcome! My name is Maya, and I can turn any text you type into a short video. People move their "
        "lips for every sound: map, five, blue, moon, shoe, cheese. Maybe you would like to hear a bit more about it? "
        "Both of my brothers own a farm beyond the hill, where we keep bees, lambs and a very proud peacock."
    ),
    "fr": (
        "Bienvenue à tous ! Je m'appelle Maya et je transforme vos textes en petites vidéos. Mon frère possède une "
        "ferme derrière la colline, avec des poules, un paon et beaucoup d'abeilles. Pouvez-vous me montrer votre "
        "photo préférée ? Nous parlons doucement, puis un peu plus vite, pour voir bouger les lèvres."
    ),
    "zh": (
        "大家好，欢迎来到我的频道！我可以把你写的文字变成一段小视频。你喜欢吃苹果还是葡萄？"
        "我的哥哥在山的后面有一个农场，那里有蜜蜂、白马和一只骄傲的孔雀。我们慢慢地说，看看嘴巴怎么动。"
    ),
}

MOST_LAG_FRAMES = 1.0
LEAST_PHONEME_R, LEAST_LOUDNESS_R, LEAST_CLOSED = 0.75, 0.5, 0.9
SHIFTS_FRAMES = (4, -3)
MOST_SHIFT_ERROR_FRAMES, MOST_REVERSED_R = 0.5, 0.4

Row = dict[str, Any]


def main() -> None:
    """Measure every film, print and keep the table, and say whether all gates are passed."""
    sources = list(avatars())
    speeches = {language: speak(text, language) for language, text in TEXTS.items()}
    engine, watcher = PortraitEngine(), MouthWatcher(MODELS)
    rows: list[Row] = []
    for source in track(sources, "Filming"):
        prepared = engine.prepare(source, SIZE)
        for language, speech in speeches.items():
            for driver, heard in (("phonemes", speech), ("sound", replace(speech, marks=()))):
                gaps = watcher.gaps(engine.render(prepared, heard, 0, FPS))
                rows.append({"avatar": source.name, "language": language, "driver": driver, **measure(gaps, speech)})
    engine.close()
    report("lipsync", rows)
    if not all(row["passed"] for row in rows):
        raise typer.Exit(1)


def avatars() -> Iterator[AvatarSource]:
    """Yield illustrated avatars that are shipped, and a photo."""
    for folder in sorted(path for path in AVATARS.iterdir() if path.is_dir())[:ILLUSTRATED]:
        yield read_avatar(folder).source
    photo = np.ascontiguousarray(skimage.data.astronaut()[:, :, ::-1])
    face = MeshFaceFinder(MODELS).find(photo)
    yield AvatarSource("astronaut (photo)", photo, face.landmarks, hashlib.sha256(photo).hexdigest())


def speak(text: str, language: str) -> AudioChunk:
    """Return `text` as the default voice says it, at the films' sample rate."""
    engine = EspeakEngine()
    utterance = engine.resolve(SpeechRequest(text=text, language=language))
    speech = join_chunks(list(resampled(engine.synthesize(utterance), FILM_SAMPLE_RATE_HZ)))
    engine.close()
    return speech


def measure(gaps: Track, speech: AudioChunk) -> Row:
    """Return how the lips agree with `speech`, how the controls came out, and whether all gates are passed."""
    wanted = phoneme_openness(speech, len(gaps), float(FPS))
    phonemes = agreement(gaps, wanted)
    loud = agreement(gaps, loudness(speech, len(gaps), float(FPS)))
    closed, bilabials = closures(gaps, speech.marks, float(FPS))
    shifted = [agreement(gaps, np.roll(wanted, shift)).lag_frames - phonemes.lag_frames for shift in SHIFTS_FRAMES]
    reversed_r = agreement(gaps, wanted[::-1]).r
    passed = (
        abs(phonemes.lag_frames) <= MOST_LAG_FRAMES
        and phonemes.r >= LEAST_PHONEME_R
        and loud.r >= LEAST_LOUDNESS_R
        and closed >= LEAST_CLOSED * bilabials
        and all(
            abs(moved + shift) <= MOST_SHIFT_ERROR_FRAMES for moved, shift in zip(shifted, SHIFTS_FRAMES, strict=True)
        )
        and reversed_r <= MOST_REVERSED_R
    )
    return {
        "frames": len(gaps),
        "phoneme r": phonemes.r,
        "lag (frames)": phonemes.lag_frames,
        "loudness r": loud.r,
        "closed": f"{closed}/{bilabials}",
        "lag if sound +4": phonemes.lag_frames + shifted[0],
        "lag if sound -3": phonemes.lag_frames + shifted[1],
        "r if reversed": reversed_r,
        "passed": passed,
    }


if __name__ == "__main__":
    typer.run(main)
