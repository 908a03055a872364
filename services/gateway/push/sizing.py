"""How large chunks are: as many bytes as the connection takes in a set time."""

from __future__ import annotations

LEAST_CHUNK_BYTES = 4 * 1024
MOST_CHUNK_BYTES = 256 * 1024
"""In base64 and with its metadata far below 1 MiB, which is what most servers take in one message."""

_MOST_STEP = 2.0


class ChunkSize:
    """The size of the chunks of one connection."""

    def __init__(self, start_bytes: int, target_s: float, *, adapts: bool) -> None:
        """A chunk is to take `target_s` from being sent to being acknowledged."""
        self.bytes = start_bytes
        self._target_s = target_s
        self._adapts = adapts

    def measure(self, sent_bytes: int, took_s: float) -> None:
        """Take into account that the connection was busy with `sent_bytes` for `took_s`."""
        # Small chunks tell how far away the server is, not how much the connection carries.
        if not self._adapts or sent_bytes < self.bytes / 2:
            return
        wanted = sent_bytes * self._target_s / max(took_s, 1e-6)
        step = min(max(wanted / self.bytes, 1 / _MOST_STEP), _MOST_STEP)
        self.bytes = round(min(max(self.bytes * step, LEAST_CHUNK_BYTES), MOST_CHUNK_BYTES))
