"""What tells one file, or folder, from another."""

from __future__ import annotations

import hashlib
from pathlib import Path

_PIECE_BYTES = 1024**2


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file's name and content, or of all that is in a folder."""
    digest = hashlib.sha256()
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as content:
            while piece := content.read(_PIECE_BYTES):
                digest.update(piece)
    return digest.hexdigest()
