"""Finished sound that a client fetches by URL a little later."""

from __future__ import annotations

import hashlib

from cachetools import TTLCache

from services.contract.errors import NotFound, TooLarge

_KEPT_BYTES = 256 * 1024**2
_KEPT_S = 3600.0


class Outputs:
    """Keeps files in memory for an hour; the least recently fetched make room."""

    def __init__(self, kept_bytes: int = _KEPT_BYTES, kept_s: float = _KEPT_S) -> None:
        self._files: TTLCache[str, bytes] = TTLCache(kept_bytes, kept_s, getsizeof=len)

    def keep(self, content: bytes, suffix: str) -> str:
        """Return the name under which `content` can be fetched; equal content has one name.

        Raises `TooLarge` when there is not so much room.
        """
        if len(content) > self._files.maxsize:
            mib = self._files.maxsize / 1024**2
            raise TooLarge(
                f"The sound is larger than the {mib:g} MiB that are kept for fetching; send the text in parts."
            )
        name = f"{hashlib.sha256(content).hexdigest()[:32]}.{suffix}"
        self._files[name] = content
        return name

    def fetch(self, name: str) -> bytes:
        """Return what was kept under `name`; raises `NotFound`."""
        if (content := self._files.get(name)) is None:
            raise NotFound(f"There is no output {name!r} any more; make it again.")
        return content
