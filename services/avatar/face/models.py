"""The three small model files: where they come from, and that they are the right ones.

They are MediaPipe's (Apache-2.0), and are taken out of one published wheel that runs on no
interpreter of ours: only the files in it are used.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.contract.errors import Unavailable

_PACKAGE = "mediapipe==0.10.21"
_WHEEL = ("--platform=manylinux_2_28_x86_64", "--python-version=3.11", "--implementation=cp", "--abi=cp311")
_DOWNLOAD_TIMEOUT_S = 300


@dataclass(frozen=True)
class _ModelFile:
    path_in_wheel: str
    sha256: str

    @property
    def name(self) -> str:
        return self.path_in_wheel.rpartition("/")[2]


DETECTOR = _ModelFile(
    "mediapipe/modules/face_detection/face_detection_short_range.tflite",
    "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
)
MESH = _ModelFile(
    "mediapipe/modules/face_landmark/face_landmark.tflite",
    "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
)
IRIS = _ModelFile(
    "mediapipe/modules/iris_landmark/iris_landmark.tflite",
    "d1744d2a09c25f501d39eba4faff47e53ecca8852c5ce19bce8eeac39357521f",
)
FILES = (DETECTOR, MESH, IRIS)


def load_models(folder: Path) -> Mapping[_ModelFile, bytes]:
    """Return the content of each of `FILES`, from `folder` or fetched into it first.

    Raises `Unavailable` with what to do when they cannot be fetched.
    """
    if any(_read(folder, file) is None for file in FILES):
        _fetch(folder)
    contents = {file: _read(folder, file) for file in FILES}
    return {file: content for file, content in contents.items() if content is not None}


def _read(folder: Path, file: _ModelFile) -> bytes | None:
    """Return the content of `file`, or None when it is missing or damaged."""
    path = folder / file.name
    if not path.is_file():
        return None
    content = path.read_bytes()
    return content if hashlib.sha256(content).hexdigest() == file.sha256 else None


def _fetch(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as downloads:
        _download(Path(downloads), folder)
        wheel = next(Path(downloads).glob("*.whl"))
        with zipfile.ZipFile(wheel) as members:
            for file in FILES:
                _write(folder, file, members.read(file.path_in_wheel))


def _download(downloads: Path, folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", *_WHEEL, f"--dest={downloads}", _PACKAGE]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_DOWNLOAD_TIMEOUT_S)
    except subprocess.SubprocessError as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        raise Unavailable(
            f"Finding faces needs three small model files, and pip could not fetch them ({said[-1]}). "
            f"Run `python -m services.avatar.face` where pip can, and copy its files to {folder.resolve()}."
        ) from error


def _write(folder: Path, file: _ModelFile, content: bytes) -> None:
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise Unavailable(f"What pip fetched as {_PACKAGE} is not the published file: {file.name} differs.")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".", delete=False) as partial:
        partial.write(content)
    # Renamed whole: another process never reads half a file.
    Path(partial.name).replace(folder / file.name)
    (folder / file.name).chmod(0o644)
