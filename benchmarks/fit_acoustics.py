"""Fits the network of the portrait engine that reads lips from sound.

    python -m benchmarks.fit_acoustics --trial 0    keeps some voices to itself, and scores the network on those
    python -m benchmarks.fit_acoustics              learns from all voices and writes acoustics.npz

Every time an utterance is heard it comes through another microphone, room, loudness and noise.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.acoustic_lessons import Lesson, disturbed, espeak_lessons, recorded_lessons
from services.avatar.engines.portrait.acoustics import (
    BANDS,
    MODEL,
    OFFSETS,
    OUTPUTS,
    AcousticModel,
    Features,
    features,
    only,
    surroundings,
)

TRIALS = (
    ("slt", "pc", "machac", "Annie", "m3", "fr"),
    ("rms", "lj", "f3", "m7", "ko"),
    ("awb", "lp", "dita", "f2", "Andy", "de"),
    ("kal16", "nsh", "ked", "klatt4", "steph", "zh"),
)
"""Voices and languages that a trial keeps to itself."""

HIDDEN = (112, 48)
IMPORTANCE = np.array([2.0, 1.0, 1.0, 1.0, 1.0, 0.3, 4.0, 1.5], np.float32)
EPOCHS, BATCH, LEARNING_RATE = 20, 512, 2e-3
UTTERANCES_AT_ONCE = 48
READINGS_ESPEAK, READINGS_RECORDED = 11, 60


class Adam:
    """Adam (Kingma and Ba, 2015), the learning rate falling along a cosine over `steps`."""

    def __init__(self, parameters: Sequence[Features], steps: int) -> None:
        self._parameters = parameters
        self._mean = [np.zeros_like(parameter) for parameter in parameters]
        self._square = [np.zeros_like(parameter) for parameter in parameters]
        self._step, self._steps = 0, steps

    def update(self, gradients: Sequence[Features]) -> None:
        """Move the parameters one step down their gradients, in place."""
        self._step += 1
        rate = LEARNING_RATE * (1 + np.cos(np.pi * min(1.0, self._step / self._steps))) / 2 + 1e-5
        for parameter, gradient, mean, square in zip(
            self._parameters, gradients, self._mean, self._square, strict=True
        ):
            mean += 0.1 * (gradient - mean)
            square += 0.001 * (gradient**2 - square)
            unbiased = np.sqrt(square / (1 - 0.999**self._step)) + 1e-8
            parameter -= rate * (mean / (1 - 0.9**self._step) / unbiased + 1e-4 * parameter)


def inputs(lesson: Lesson, power: Features) -> Features:
    """Return what the network sees of `power`: each run of speech by itself, as when it is used."""
    heard = features(power)
    seen = surroundings(np.full_like(heard, features(np.zeros((1, 1), np.float32))[0, 0]))
    for run in lesson.runs:
        near = slice(max(run.start - 8, 0), run.stop + 8)
        seen[near] = surroundings(only(heard, run)[near])
    return seen


def batches(lessons: Sequence[Lesson], rng: np.random.Generator) -> Iterator[tuple[Features, Features]]:
    """Yield all lessons once, disturbed and shuffled."""
    order = rng.permutation(len(lessons))
    for start in range(0, len(order), UTTERANCES_AT_ONCE):
        chosen = [lessons[index] for index in order[start : start + UTTERANCES_AT_ONCE]]
        seen = np.concatenate([inputs(lesson, disturbed(lesson.power, rng)) for lesson in chosen])
        lips = np.concatenate([lesson.lips for lesson in chosen])
        rows = rng.permutation(len(seen))
        for first in range(0, len(rows) - BATCH // 2, BATCH):
            yield seen[rows[first : first + BATCH]], lips[rows[first : first + BATCH]]


def gradients(model: AcousticModel, seen: Features, lips: Features) -> list[Features]:
    """Return the gradients of the weighted squared error, weight and bias by turns."""
    values = [seen]
    for weight, bias in model.layers[:-1]:
        before = values[-1] @ weight + bias
        values.append(np.maximum(before, 0.1 * before))
    weight, bias = model.layers[-1]
    error = 2 * (values[-1] @ weight + bias - lips) * IMPORTANCE / len(seen)
    found: list[Features] = []
    for (weight, _), value in zip(reversed(model.layers), reversed(values), strict=True):
        found = [value.T @ error, error.sum(axis=0), *found]
        error = (error @ weight.T) * np.where(value > 0, np.float32(1), np.float32(0.1))
    return found


def fit(lessons: Sequence[Lesson], rng: np.random.Generator) -> AcousticModel:
    """Return the network that learned from `lessons`."""
    sizes = (BANDS * len(OFFSETS), *HIDDEN, len(OUTPUTS))
    model = AcousticModel(
        tuple(
            (rng.normal(0, np.sqrt(2 / size), (size, following)).astype(np.float32), np.zeros(following, np.float32))
            for size, following in itertools.pairwise(sizes)
        )
    )
    steps = EPOCHS * sum(len(lesson.lips) for lesson in lessons) // BATCH
    adam = Adam([parameter for layer in model.layers for parameter in layer], steps)
    for _ in track(range(EPOCHS), "Learning"):
        for seen, lips in batches(lessons, rng):
            adam.update(gradients(model, seen, lips))
    return model


def score(model: AcousticModel, lessons: Sequence[Lesson]) -> Table:
    """Return the correlation of each output with the lips, by voice."""
    table = Table("voice", "language", *OUTPUTS)
    for voice, language in sorted({(lesson.voice, lesson.language) for lesson in lessons}):
        rows = [
            [
                np.corrcoef(got, wanted)[0, 1]
                for got, wanted in zip(model(inputs(it, it.power)).T, it.lips.T, strict=True)
            ]
            for it in lessons
            if (it.voice, it.language) == (voice, language)
        ]
        table.add_row(voice, language, *(f"{r:.2f}" for r in np.nanmean(rows, axis=0)))
    return table


def save(model: AcousticModel) -> None:
    """Keep the weights of `model` as half floats."""
    arrays = {}
    for index, (weight, bias) in enumerate(model.layers):
        arrays[f"weight{index}"], arrays[f"bias{index}"] = weight.astype(np.float16), bias.astype(np.float16)
    np.savez(MODEL, **arrays)


def main(trial: int | None = None, seed: int = 1) -> None:
    """Fit the network; with --trial N, only to score it on the voices and languages of trial N."""
    console = Console()
    rng = np.random.default_rng(seed)
    spoken = list(track(espeak_lessons(rng, READINGS_ESPEAK), "Listening to espeak-ng"))
    recorded = list(track(recorded_lessons(rng, READINGS_RECORDED), "Listening to recorded voices"))
    kept = TRIALS[trial] if trial is not None else ()
    unknown = [it for it in spoken + recorded if it.voice in kept or it.language in kept]
    # Recorded voices count double: they are most like the voices the network is for.
    known = [it for it in spoken + 2 * recorded if it.voice not in kept and it.language not in kept]
    console.print(f"{len(known)} lessons, {sum(len(it.lips) for it in known)} steps; {len(unknown)} kept back")
    model = fit(known, rng)
    if trial is None:
        save(model)
    else:
        console.print(score(model, unknown))


if __name__ == "__main__":
    typer.run(main)
