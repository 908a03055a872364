"""`talkie doctor`: what works here, and what a missing thing needs."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from rich.console import Console
from rich.table import Table

from services.avatar.settings import AvatarSettings
from services.contract.errors import ServiceError

State = Literal["works", "missing", "optional"]
_COLOURS: dict[State, str] = {"works": "green", "missing": "red", "optional": "yellow"}
_CODECS = ("libx264", "aac", "libmp3lame", "libopus", "flac")


@dataclass(frozen=True)
class Finding:
    """One line of the table; only `missing` keeps the default path from working."""

    what: str
    state: State
    detail: str


def examine(console: Console) -> bool:
    """Print the table and return whether the default path works."""
    table = Table("", "state", "details", title="Talkie here")
    healthy = True
    for finding in _findings():
        healthy = healthy and finding.state != "missing"
        table.add_row(finding.what, f"[{_COLOURS[finding.state]}]{finding.state}", finding.detail)
    console.print(table)
    return healthy


def _findings() -> Iterator[Finding]:
    yield _python()
    yield _codecs()
    yield _ffmpeg()
    yield _espeak()
    yield _avatars()
    yield _face_models()
    yield _gpu()
    yield _redis()


def _python() -> Finding:
    state: State = "works" if sys.version_info >= (3, 10) else "missing"
    return Finding("Python", state, f"{platform.python_version()} on {platform.machine()}, {os.cpu_count()} cores")


def _codecs() -> Finding:
    import av

    absent = [name for name in _CODECS if name not in av.codecs_available]
    if absent:
        return Finding("codecs", "missing", f"PyAV lacks {', '.join(absent)}; pip install --force-reinstall av")
    return Finding("codecs", "works", f"PyAV {av.__version__}: {', '.join(_CODECS)}")


def _ffmpeg() -> Finding:
    import imageio_ffmpeg

    return Finding("ffmpeg", "works", f"{imageio_ffmpeg.get_ffmpeg_version()}, bundled with imageio-ffmpeg")


def _espeak() -> Finding:
    from services.tts.engines.espeak.engine import EspeakEngine

    try:
        engine = EspeakEngine()
    except (ServiceError, OSError) as error:
        return Finding("espeak engine", "missing", f"{error}; pip install --force-reinstall espeakng-loader")
    try:
        return Finding("espeak engine", "works", f"{engine.revision}, {len(engine.languages())} languages")
    finally:
        engine.close()


def _avatars() -> Finding:
    folder = AvatarSettings().avatar_dir
    names = sorted(path.parent.name for path in folder.glob("*/avatar.json"))
    if not names:
        return Finding("avatars", "missing", f"none in {folder.resolve()}; set AVATAR_DIR or run from the checkout")
    return Finding("avatars", "works", ", ".join(names))


def _face_models() -> Finding:
    folder = AvatarSettings().models_dir / "face"
    found = sorted(path.name for path in folder.glob("*.tflite")) if folder.is_dir() else []
    if found:
        return Finding("face finder", "works", ", ".join(found))
    return Finding("face finder", "optional", "fetched with pip when the first picture is added")


def _gpu() -> Finding:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return Finding("GPU", "optional", "no nvidia-smi; needed for cloned voices and MuseTalk only")
    asked = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    answer = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=False)
    if answer.returncode:
        return Finding("GPU", "optional", f"nvidia-smi failed: {answer.stderr.strip() or answer.stdout.strip()}")
    return Finding("GPU", "works", "; ".join(answer.stdout.strip().splitlines()))


def _redis() -> Finding:
    url = os.environ.get("REDIS_URL", "")
    if not url:
        return Finding("Redis", "optional", "REDIS_URL is not set; one machine needs none")
    return Finding("Redis", "optional", f"REDIS_URL is {url}; nothing here uses it yet")
