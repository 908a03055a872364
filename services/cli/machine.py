"""What the machine has: Python, codecs, ffmpeg, a GPU, Redis."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import sys
from urllib.parse import urlsplit

from services.cli.findings import Finding, State

_CODECS = ("libx264", "aac", "libmp3lame", "libopus", "flac")
_NVIDIA_SMI_TIMEOUT_S = 20
_REDIS_TIMEOUT_S = 2.0


def python() -> Finding:
    """Look at the interpreter."""
    state: State = "works" if sys.version_info >= (3, 10) else "missing"
    return Finding("Python", state, f"{platform.python_version()} on {platform.machine()}, {os.cpu_count()} cores")


def codecs() -> Finding:
    """Look for the encoders that films and speech are made with."""
    import av

    absent = [name for name in _CODECS if name not in av.codecs_available]
    if absent:
        return Finding("codecs", "missing", f"PyAV lacks {', '.join(absent)}; pip install --force-reinstall av")
    return Finding("codecs", "works", f"PyAV {av.__version__}: {', '.join(_CODECS)}")


def ffmpeg() -> Finding:
    """Look for the program, which only comes with a package of its own on some platforms."""
    import imageio_ffmpeg

    try:
        version = imageio_ffmpeg.get_ffmpeg_version()
    except RuntimeError:
        return Finding("ffmpeg", "optional", "not bundled for this platform; install it, or set IMAGEIO_FFMPEG_EXE")
    return Finding("ffmpeg", "works", f"{version}, bundled with imageio-ffmpeg")


def gpu() -> Finding:
    """Ask nvidia-smi."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return Finding("GPU", "optional", "no nvidia-smi; the default engines need none")
    asked = [tool, "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        answer = subprocess.run(asked, capture_output=True, text=True, timeout=_NVIDIA_SMI_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return Finding("GPU", "optional", f"nvidia-smi said nothing for {_NVIDIA_SMI_TIMEOUT_S} s")
    if answer.returncode:
        return Finding("GPU", "optional", f"nvidia-smi failed: {answer.stderr.strip() or answer.stdout.strip()}")
    return Finding("GPU", "works", "; ".join(answer.stdout.strip().splitlines()))


def redis(redis_url: str) -> Finding:
    """Ping the Redis of the services; its password is never shown."""
    url = urlsplit(redis_url)
    if not url.hostname:
        return Finding("Redis", "optional", "REDIS_URL is not set; one machine needs none")
    where = url.hostname, url.port or 6379
    try:
        with socket.create_connection(where, timeout=_REDIS_TIMEOUT_S) as connection:
            connection.sendall(b"PING\r\n")
            answer = connection.recv(64)
    except OSError as error:
        return Finding("Redis", "optional", f"{where[0]}:{where[1]} does not answer: {error}")
    # One that wants a password says -NOAUTH, which shows that it is there as well.
    if answer.startswith((b"+PONG", b"-NOAUTH")):
        return Finding("Redis", "works", f"{where[0]}:{where[1]} answers")
    return Finding("Redis", "optional", f"what listens on {where[0]}:{where[1]} is not Redis")
