"""What the lips should have done, and how near they came to it."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.contract.speech import AudioChunk, Mark

Track = npt.NDArray[np.float64]

_OPENNESS = {
    "aɑɐæɶɒ": 1.0, "ʌ": 0.75, "ɛœɜɞɔ": 0.65, "eøoɤɘɵ": 0.5, "əɚɝ": 0.35, "iɪyʏɨʉɯuʊᵻᵿ": 0.33,
    "kɡgŋxɣqχʁɴçʝjɲʎ": 0.3, "nlrɾɽɫɭɹɻ": 0.27, "tdθð": 0.25, "szʃʒɕʑʂʐ": 0.2, "wʍɥ": 0.2, "fvɱʋβɸ": 0.08, "pbm": 0.0,
}  # fmt: skip
_OF_LETTER = {letter: openness for letters, openness in _OPENNESS.items() for letter in letters}
_OTHER = 0.3

_STEP_S = 0.005
_SMOOTHING_S = 0.085
"""About what lips need to get from one shape to the next."""

_SILENT_DB = -33.0
_BURST_STEPS = 2
_MOST_LAG_FRAMES = 8


def phoneme_openness(speech: AudioChunk, frames: int, fps: float) -> Track:
    """Return how open a mouth that speaks `speech` is in the middle of each frame, 0 to 1."""
    times_s = np.arange(0, frames / fps + 0.1, _STEP_S)
    openness = np.zeros(len(times_s))
    marks = [mark for mark in speech.marks if mark.kind == "phoneme" and mark.end_s > mark.start_s]
    for mark, following in zip(marks, [*marks[1:], None], strict=True):
        parts = _parts(mark, following)
        edges_s = np.linspace(mark.start_s, mark.end_s, len(parts) + 1)
        for part, start_s, end_s in zip(parts, edges_s, edges_s[1:], strict=False):
            openness[(times_s >= start_s) & (times_s < end_s)] = part
    _shut_closures(openness, times_s, marks, speech)
    return np.interp((np.arange(frames) + 0.5) / fps, times_s, _smooth(openness))


def loudness(speech: AudioChunk, frames: int, fps: float) -> Track:
    """Return the amplitude envelope of `speech` in the middle of each frame, smoothed like the openness."""
    block = round(_STEP_S * speech.sample_rate_hz)
    sound = _sound(speech)
    blocks = np.pad(sound, (0, -len(sound) % block)).reshape(-1, block)
    amplitude = _smooth(np.sqrt(np.mean(np.square(blocks), axis=1)))
    middles_s = (np.arange(len(amplitude)) + 0.5) * block / speech.sample_rate_hz
    return np.interp((np.arange(frames) + 0.5) / fps, middles_s, amplitude, right=0.0)


@dataclass(frozen=True)
class Agreement:
    """The best correlation of two tracks, and the lag it is found at: positive when the first one is late."""

    r: float
    lag_frames: float


def agreement(track: Track, wanted: Track) -> Agreement:
    """Return how well `track` follows `wanted`."""
    lags = np.arange(-_MOST_LAG_FRAMES, _MOST_LAG_FRAMES + 1)
    inner = slice(_MOST_LAG_FRAMES, len(track) - _MOST_LAG_FRAMES)
    correlations = np.array([np.corrcoef(np.roll(track, -lag)[inner], wanted[inner])[0, 1] for lag in lags])
    best = int(correlations.argmax())
    offset = 0.0
    if 0 < best < len(lags) - 1:  # the top of the parabola through the three highest points
        before, top, after = correlations[best - 1 : best + 2]
        offset = float((before - after) / (2 * (before - 2 * top + after)))
    return Agreement(float(correlations[best]), float(lags[best]) + offset)


def closures(gaps: Track, marks: Sequence[Mark], fps: float) -> tuple[int, int]:
    """Return how many of /m b p/ are seen closed, and how many there are."""
    closed_gap = np.percentile(gaps, 5) + 0.2 * (np.percentile(gaps, 95) - np.percentile(gaps, 5))
    bilabials = [mark for mark in marks if mark.kind == "phoneme" and mark.text.startswith(("m", "b", "p"))]
    seen = 0
    for mark in bilabials:
        start_s = min(mark.start_s, mark.end_s - 0.06)  # a stop is marked at its burst
        around = gaps[max(0, int(start_s * fps) - 1) : int(np.ceil(mark.end_s * fps)) + 1]
        seen += bool(around.min() < closed_gap)
    return seen, len(bilabials)


def _parts(mark: Mark, following: Mark | None) -> list[float]:
    letters = _letters(mark.text)
    if letters in ("h", "ʔ", "ɦ") and following is not None:
        letters = _letters(following.text)[:1]  # breath has the shape of what comes next
    if mark.text == "ʲ":
        letters = "j"
    return [_OF_LETTER.get(letter, _OTHER) for letter in letters] or [0.0]


def _letters(phoneme: str) -> str:
    if phoneme.startswith("("):
        return ""
    return "".join(char for char in unicodedata.normalize("NFD", phoneme) if unicodedata.category(char) in ("Ll", "Lo"))


def _shut_closures(openness: Track, times_s: Track, marks: Sequence[Mark], speech: AudioChunk) -> None:
    """Give the silence before the burst of /p t k/ to the stop; espeak-ng counts it to the sound before."""
    sound = _sound(speech)
    energy = np.concatenate([[0.0], np.cumsum(np.square(sound))])
    half = round(_STEP_S * speech.sample_rate_hz)
    centres = np.clip((times_s * speech.sample_rate_hz).astype(int), half, max(len(sound) - half, half))
    upper = np.minimum(centres + half, len(sound))
    silent = 10 * np.log10((energy[upper] - energy[centres - half]) / (2 * half) + 1e-9) < _SILENT_DB
    for before, stop in itertools.pairwise(marks):
        if before.text and stop.text.startswith(("p", "t", "k", "c", "q")):
            inside = np.flatnonzero((times_s >= before.start_s) & (times_s < stop.start_s))[:-_BURST_STEPS]
            heard = inside[~silent[inside]]
            first = heard[-1] + 1 if len(heard) else before.start_s / _STEP_S
            openness[(times_s >= first * _STEP_S) & (times_s < stop.start_s)] = _parts(stop, None)[0]


def _smooth(track: Track) -> Track:
    window = np.hanning(round(_SMOOTHING_S / _STEP_S))
    return np.convolve(track, window / window.sum(), "same")


def _sound(speech: AudioChunk) -> Track:
    return np.frombuffer(speech.pcm, "<i2").astype(np.float64) / 32768
