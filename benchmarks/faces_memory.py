"""Memory of MuseTalk's films of a clip: one minute of speech and ten, each in a process of its own.

    python -m benchmarks.faces_memory                      on this machine's CPU
    python -m benchmarks.faces_memory --device cuda:0      on a GPU, its memory too

The networks are tiny: what is measured is what grows with the speech, not the weights. A film is made of
segments of ten seconds, as a script's sentences make it, or is one single segment, the worst there is.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

from benchmarks.faces import ROOT, speech
from benchmarks.report import report
from services.avatar.engine import AvatarSource, FrameSize
from services.avatar.engines.musetalk.making import make_musetalk
from services.avatar.face.finder import MeshFaceFinder
from services.avatar.library import AvatarLibrary
from services.avatar.mux import mux_segment
from services.avatar.segment import segment_of
from services.avatar.settings import AvatarSettings
from services.contract.video import LipSyncParams
from tests.checkpoints.musetalk import build_musetalk
from tests.footage import film, steady

FPS = Fraction(25)
SIZE = FrameSize(256, 256)
MINUTES = (1, 10)
CLIP_S = 20.0
SEGMENT_S = 10


def main() -> None:
    """Measure each film in a process of its own, and keep the table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--device", default="cpu")
    arguments.add_argument("--one", nargs=3, metavar=("SEGMENTS", "MINUTES", "FOLDER"), help=argparse.SUPPRESS)
    asked = arguments.parse_args()
    if asked.one:
        segments, minutes, folder = asked.one
        sys.stdout.write(json.dumps(measured(segments, int(minutes), Path(folder), asked.device)))
        return
    with tempfile.TemporaryDirectory() as folder:
        build_musetalk(Path(folder) / "weights")
        rows = [row for segments in ("of 10 s", "one") for row in compared(segments, folder, asked.device)]
    report(f"faces_memory_{asked.device.split(':')[0]}", rows)


def compared(segments: str, folder: str, device: str) -> list[dict[str, Any]]:
    """Return the row of each length; the last says how much it took of what the first did."""
    rows: list[dict[str, Any]] = []
    for minutes in MINUTES:
        command = [sys.executable, "-m", "benchmarks.faces_memory", "--device", device]
        one = subprocess.run([*command, "--one", segments, str(minutes), folder], stdout=subprocess.PIPE, check=True)
        row = {"segments": segments, "speech, min": minutes} | json.loads(one.stdout)
        rows.append(row | {"of the first": row["memory, MB"] / (rows[0] if rows else row)["memory, MB"]})
    return rows


def measured(segments: str, minutes: int, folder: Path, device: str) -> dict[str, float]:
    """Make one film, and return the most memory the process ever had."""
    given = {"musetalk_dir": folder / "weights", "pack_dir": folder / "packs", "device": device}
    engine = make_musetalk(AvatarSettings.model_validate(given))
    track = engine.prepare(person(folder), SIZE)
    segment_s = 60 * minutes if segments == "one" else SEGMENT_S
    said = speech(1.0)
    sent = 0
    for start_s in range(0, 60 * minutes, segment_s):
        segment = segment_of(
            replace(said, pcm=said.pcm * segment_s),
            LipSyncParams(avatar="-", first_frame=25 * start_s, fps=FPS, width=SIZE.width, height=SIZE.height),
        )
        frames = engine.render(track, segment.speech, segment.first_frame, FPS)
        sent += sum(len(piece) for piece in mux_segment(frames, segment))
    engine.close()
    peak = {"memory, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    on_gpu = device.startswith("cuda")
    gpu = {"GPU memory, MB": torch.cuda.max_memory_allocated() / 1e6} if on_gpu else {}
    return peak | gpu | {"film, MB": sent / 1e6}


def person(folder: Path) -> AvatarSource:
    """Return a clip of a person who sways."""
    library = AvatarLibrary(AvatarSettings(avatar_dir=folder / "avatars"), MeshFaceFinder(ROOT / "models"))
    if not library.list():
        library.add("anna", film(folder / "clip.mp4", steady(CLIP_S)).read_bytes())
    return library.find("anna").source


if __name__ == "__main__":
    main()
