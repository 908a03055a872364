"""Where muxers write to when their output is sent away as it is made."""

from __future__ import annotations


class Sink:
    """A file whose content is taken away as it is written."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes) -> int:
        """Take `data`, as a file would."""
        self._written += data
        return len(data)

    def take(self) -> bytes:
        """Return what was written since the last call."""
        taken = bytes(self._written)
        self._written.clear()
        return taken
