"""The mouth that the sound alone suggests, for voices that come without phoneme marks.

A small network looks at the spectrum a seventh of a second around each instant and answers what the
lips do. It was fitted offline (`benchmarks/fit_acoustics.py`) to speech whose phonemes are known, in many voices
and languages, through many rooms and microphones. All references are fixed, and each run of speech
between pauses is heard by itself, so a film cut in pauses shows the very same mouths.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from services.avatar.engines.portrait.articulation import PAUSE_REACH_S, Articulation, pause_gate, silence
from services.avatar.engines.portrait.easing import smoothstep
from services.avatar.engines.portrait.expression import MOUTH_SHAPES
from services.avatar.engines.portrait.instants import Floats, Instants
from services.avatar.engines.portrait.phonemes import LONGEST_CLOSURE_S
from services.contract.speech import AudioChunk

Features = npt.NDArray[np.float32]

MODEL = Path(__file__).with_name("acoustics.npz")

OUTPUTS = ("jaw", "wide", "round", "up", "low", "tongue", "closed", "bitten")
"""What the network answers: weights of mouth shapes, then how sure it is that the lips meet or are bitten."""

OFFSETS = (-14, -10, -7, -5, -3, -2, -1, 0, 1, 2, 3, 5, 7, 10, 14)
"""Steps before and after an instant that the network looks at."""

BANDS = 24
_LOWEST_HZ, _HIGHEST_HZ = 100.0, 7600.0
_WINDOW_S = 0.025
_FLOOR_DB, _SPAN_DB = -75.0, 30.0
_AUDIBLE_DB = -48.0
_QUIET = np.float32(-0.8)
"""The feature of a band in which nothing is heard."""

_BOLDNESS = 1.12
_JAW_CONTRAST, _JAW_REST = 1.15, 0.06
"""A network that is not sure answers the middle; these give the mouth its reach back."""

_SHAPES = [MOUTH_SHAPES.index(name) for name in OUTPUTS[:-2]]


@dataclass(frozen=True)
class AcousticModel:
    """A multilayer perceptron: [steps, len(OFFSETS) * BANDS] in, [steps, len(OUTPUTS)] out."""

    layers: tuple[tuple[Features, Features], ...]

    @classmethod
    def load(cls, path: Path = MODEL) -> AcousticModel:
        """Read the fitted weights, kept as half floats."""
        with np.load(path, allow_pickle=False) as stored:
            count = len(stored.files) // 2
            pairs = [(stored[f"weight{n}"], stored[f"bias{n}"]) for n in range(count)]
        return cls(tuple((weight.astype(np.float32), bias.astype(np.float32)) for weight, bias in pairs))

    def __call__(self, seen: Features) -> Features:
        """Return the answer to each row of `seen`."""
        for weight, bias in self.layers[:-1]:
            seen = seen @ weight + bias
            seen = np.maximum(seen, 0.1 * seen)
        weight, bias = self.layers[-1]
        return seen @ weight + bias


def listen(speech: AudioChunk, instants: Instants) -> Articulation:
    """Return the mouth that says `speech`, from its sound alone."""
    result = silence(instants)
    heard = features(mel_power(speech, instants))
    times_s = instants.times_s()
    model = AcousticModel.load()
    margin = round(PAUSE_REACH_S / instants.step_s)
    for run in speech_runs(level_db(speech, instants), instants):
        near = slice(max(run.start - margin, 0), run.stop + margin)
        answer = model(surroundings(only(heard, run)[near])).astype(np.float64)
        gate = pause_gate(times_s[near], times_s[run.start], times_s[run.stop - 1])
        result.presence[near] = gate
        result.weights[near, _SHAPES] = _bold(answer[:, :-2]) * gate[:, None]
        result.closed[near] = smoothstep((answer[:, -2] - 0.43) / 0.18)
        result.bitten[near] = smoothstep((answer[:, -1] - 0.4) / 0.3)
    return result


def _bold(answer: Floats) -> Floats:
    """Return the answered shapes with their reach given back."""
    weights = np.clip(_BOLDNESS * answer, 0, 1)
    jaw = OUTPUTS.index("jaw")
    weights[:, jaw] = np.clip(_JAW_CONTRAST * weights[:, jaw] - _JAW_REST, 0, 1)
    return weights


def speech_runs(level: Floats, instants: Instants) -> Iterator[slice]:
    """Yield the steps of each run of sound between pauses."""
    audible = np.flatnonzero(level > _AUDIBLE_DB)
    pauses = np.flatnonzero(np.diff(audible) * instants.step_s >= LONGEST_CLOSURE_S)
    for run in np.split(audible, pauses + 1):
        if len(run):
            yield slice(int(run[0]), int(run[-1]) + 1)


def level_db(speech: AudioChunk, instants: Instants) -> Floats:
    """Return the loudness [steps] of `speech` around each step, in dB of full scale."""
    energy = np.concatenate([[0.0], np.cumsum(np.square(_samples(speech), dtype=np.float64))])
    half = round(_WINDOW_S * speech.sample_rate_hz / 2)
    centre = instants.samples()
    start, end = (np.clip(centre + side, 0, speech.samples) for side in (-half, half))
    level: Floats = 10 * np.log10((energy[end] - energy[start]) / (2 * half) + 1e-9)
    return level


def mel_power(speech: AudioChunk, instants: Instants) -> Features:
    """Return the power [steps, BANDS] of `speech` around each step, by mel bands whatever the sample rate."""
    length = round(_WINDOW_S * speech.sample_rate_hz)
    window = np.hanning(length + 2)[1:-1].astype(np.float32)
    sound = np.pad(_samples(speech), length)
    starts = np.clip(instants.samples() + length - length // 2, 0, len(sound) - length)
    cuts = np.lib.stride_tricks.sliding_window_view(sound, length)[starts]
    spectrum = np.fft.rfft(cuts * (2 * window / window.sum()), axis=1)
    power = (np.square(spectrum.real) + np.square(spectrum.imag)).astype(np.float32)
    bands: Features = power @ _mel_bank(speech.sample_rate_hz, length)
    return bands


def features(power: Features) -> Features:
    """Return what the network hears of `power`: about -0.8 for silence to 1.5 for the loudest bands."""
    decibels = 10 * np.log10(power + np.float32(1e-9))
    loudness: Features = np.clip((decibels - _FLOOR_DB) / _SPAN_DB, 0, 3).astype(np.float32) + _QUIET
    return loudness


def only(heard: Features, run: slice) -> Features:
    """Return `heard` with everything outside `run` silent."""
    alone = np.full_like(heard, _QUIET)
    alone[run] = heard[run]
    return alone


def surroundings(heard: Features) -> Features:
    """Return [steps, len(OFFSETS) * BANDS]: for each step what is heard at OFFSETS around it."""
    reach = max(OFFSETS)
    padded = np.pad(heard, ((reach, reach), (0, 0)), constant_values=_QUIET)
    around = np.arange(len(heard))[:, None] + reach + np.array(OFFSETS)
    seen: Features = padded[around].reshape(len(heard), -1)
    return seen


def _samples(speech: AudioChunk) -> Features:
    samples: Features = np.frombuffer(speech.pcm, "<i2").astype(np.float32) / np.float32(32768)
    return samples


def _mel_bank(sample_rate_hz: int, length: int) -> Features:
    """Return [length // 2 + 1, BANDS] overlapping triangles, evenly spaced in mel (O'Shaughnessy, 1987)."""
    lowest, highest = (1127 * math.log1p(edge_hz / 700) for edge_hz in (_LOWEST_HZ, _HIGHEST_HZ))
    mels = np.linspace(lowest, highest, BANDS + 2)
    edges_hz = 700 * np.expm1(mels / 1127)
    bins_hz = np.fft.rfftfreq(length, 1 / sample_rate_hz)[:, None]
    rising = (bins_hz - edges_hz[:-2]) / np.diff(edges_hz)[:-1]
    falling = (edges_hz[2:] - bins_hz) / np.diff(edges_hz)[1:]
    bank: Features = np.clip(np.minimum(rising, falling), 0, None).astype(np.float32)
    return bank
