"""Holds every step against reference vectors: `python -m services.avatar.engines.musetalk.parity FILE.npz ...`

A file tells how its weights are made. They are written in the published layout and loaded as any
others, so that the loader is held against the reference too.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.table import Table

from services.avatar.engines.musetalk.blending import blend, patch_of
from services.avatar.engines.musetalk.generation import Generator
from services.avatar.engines.musetalk.hearing import Ears, Hearing, Sound, with_places
from services.avatar.engines.musetalk.recipe import write_weights
from services.avatar.engines.musetalk.weights import load_networks

_CLOSE = 2e-4
"""For numbers of networks in fp32."""

_EQUAL_SHARE = 0.99
"""Of pixels; none may differ by more than one level."""

Vectors = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Step:
    """How far one step is from the reference."""

    name: str
    error: float
    """The largest difference."""
    allowed: float
    differing: float = 0.0
    """Share of pixels that differ at all; more than 1 % is too much."""

    @property
    def passed(self) -> bool:
        """Whether it is near enough; a difference that is no number is not."""
        return self.error <= self.allowed and self.differing <= 1 - _EQUAL_SHARE


def main(paths: list[str]) -> int:
    """Print a table for each file; return 1 when a step of any is too far off."""
    console = Console()
    failed = False
    for path in paths:
        steps = compare(Path(path))
        table = Table("step", "largest error", "allowed", "pixels that differ", "", title=Path(path).name)
        for step in steps:
            share = f"{step.differing:.2%}" if step.allowed == 1 else ""
            table.add_row(
                step.name, f"{step.error:.3g}", f"{step.allowed:g}", share, "ok" if step.passed else "TOO FAR"
            )
        console.print(table)
        failed = failed or not all(step.passed for step in steps)
    return int(failed or not paths)


def compare(path: Path) -> list[Step]:
    """Return all steps of a file of reference vectors."""
    with np.load(path, allow_pickle=False) as file:
        vectors = {name: file[name] for name in file.files}
    meta = json.loads(str(vectors["meta"]))
    with tempfile.TemporaryDirectory() as folder:
        recipe = {name: meta[name] for name in ("unet", "vae", "whisper", "seed")}
        networks = load_networks(write_weights(Path(folder), **recipe)).placed("cpu", torch.float32)
    generator = Generator(networks.unet, networks.vae)
    heard = _heard(Ears(networks.whisper), vectors["wav_int16"], meta)
    return [*_hearing(heard, vectors, meta), *_generation(generator, heard, vectors, meta), *_blending(vectors, meta)]


def _heard(ears: Ears, wav: npt.NDArray[np.int16], meta: Mapping[str, Any]) -> torch.Tensor:
    sound: Sound = wav.astype(np.float32) / np.float32(32768)
    return Hearing(ears, sound, Fraction(str(meta["fps"]))).windows(range(meta["frames_total"]))


def _hearing(heard: torch.Tensor, vectors: Vectors, meta: Mapping[str, Any]) -> Iterator[Step]:
    picked = heard[meta["picked_windows"]][:, :, ::7]
    yield Step("windows", _apart(picked, vectors["windows"]), _CLOSE)
    yield Step("windows, mean of each frame", _apart(heard.mean((1, 2)), vectors["windows_mean"]), _CLOSE)
    yield Step("places added", _apart(with_places(heard[:1])[0, :, ::7], vectors["pe_added_first"]), _CLOSE)


def _generation(generator: Generator, heard: torch.Tensor, vectors: Vectors, meta: Mapping[str, Any]) -> Iterator[Step]:
    latents = generator.latents(vectors["face_bgr"][None])
    yield Step("latents", _apart(latents, vectors["latents"]), _CLOSE)
    said = with_places(heard[meta["unet_frames"]])
    predicted = generator.predict(latents.expand(len(said), -1, -1, -1), said)
    yield Step("predicted latents", _apart(predicted, vectors["pred_latents"]), _CLOSE)
    yield _pictures("decoded faces", generator.decode(predicted).numpy(), vectors["decoded_bgr"])


def _blending(vectors: Vectors, meta: Mapping[str, Any]) -> Iterator[Step]:
    left, top, right, bottom = meta["face_box"]
    patch = patch_of((left, top, right, bottom), vectors["segmentation_512"])
    yield Step("crop box", _apart(np.array(patch.mask_box), vectors["crop_box"]), 0)
    yield _pictures("mask", patch.mask, vectors["mask"])
    frame = vectors["frame_bgr"].copy()
    blend(frame, vectors["face_resized"], patch)
    yield _pictures("blended frame", frame, vectors["composited_bgr"])


def _pictures(name: str, ours: npt.NDArray[Any], theirs: npt.NDArray[Any]) -> Step:
    return Step(name, _apart(ours, theirs), 1, float(np.mean(ours != theirs)) if ours.shape == theirs.shape else 1.0)


def _apart(ours: torch.Tensor | npt.NDArray[Any], theirs: npt.NDArray[Any]) -> float:
    """Return the largest difference; infinite where shapes differ."""
    mine = np.asarray(ours, np.float64)
    return float(np.abs(mine - theirs).max()) if mine.shape == theirs.shape else float("inf")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
