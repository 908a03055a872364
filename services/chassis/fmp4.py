"""Reads the boxes of a fragmented MP4 that arrives in pieces: enough to take init and fragments apart."""

from __future__ import annotations

from dataclasses import dataclass

INIT_KINDS = frozenset({"ftyp", "moov"})
"""Boxes that make up the init segment; of joined segments only the first keeps its own."""

_SIZE_BYTES = 4
_HEADER_BYTES = 8
_LARGEST_BOX_BYTES = 1024**3


@dataclass(frozen=True)
class Box:
    """One top-level box: its four-letter kind, and all its bytes, header included."""

    kind: str
    data: bytes

    @property
    def is_init(self) -> bool:
        """Whether the box belongs to the init segment rather than to a fragment."""
        return self.kind in INIT_KINDS


class BoxReader:
    """Cuts a byte stream into whole top-level boxes.

    Raises `ValueError` when the stream is no sequence of boxes.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Box]:
        """Take the next piece of the stream and return the boxes it completed."""
        self._buffer += data
        boxes: list[Box] = []
        while (box := self._next_box()) is not None:
            boxes.append(box)
        return boxes

    @property
    def at_boundary(self) -> bool:
        """Whether everything taken so far made whole boxes; at the end of a film it must be."""
        return not self._buffer

    def _next_box(self) -> Box | None:
        if len(self._buffer) < _HEADER_BYTES:
            return None
        size = int.from_bytes(self._buffer[:_SIZE_BYTES], "big")
        # 0 and 1 announce open-ended and 64-bit boxes, which fragments have no use for.
        if not _HEADER_BYTES <= size <= _LARGEST_BOX_BYTES:
            raise ValueError(f"this is not a fragmented MP4: a box of {size} bytes")
        if len(self._buffer) < size:
            return None
        kind = self._buffer[_SIZE_BYTES:_HEADER_BYTES].decode("latin-1")
        box = Box(kind, bytes(self._buffer[:size]))
        del self._buffer[:size]
        return box
