"""The files of an engine's weights."""

from __future__ import annotations

import hashlib
from pathlib import Path

from services.contract.errors import Unavailable


def require_files(*paths: Path, cure: str) -> None:
    """Raise `Unavailable` when one of the files is missing."""
    for path in paths:
        if not path.is_file():
            raise Unavailable(f"The file {path} is missing; {cure}.")


def state_of(*paths: Path) -> str:
    """Return what changes when one of the files is replaced."""
    stats = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    return hashlib.sha256(repr(stats).encode()).hexdigest()[:12]
