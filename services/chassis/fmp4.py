"""Reads the boxes of a fragmented MP4 that arrives in pieces, and moves fragments to other places of the film."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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


@dataclass(frozen=True)
class TrackRun:
    """What a fragment holds of one track: samples of equal length, times in the track's own ticks."""

    track: int
    start: int
    samples: int
    sample_ticks: int


def track_runs(moof: bytes) -> list[TrackRun]:
    """Return what the fragment that begins with `moof` holds; raises `ValueError` for what is no such box."""
    return [_run(moof, start, end) for kind, start, end in _inside(moof, 0, len(moof)) if kind == "traf"]


def moved(moof: bytes, ticks: Mapping[int, int], number: int) -> bytes:
    """Return `moof` as fragment `number` of a film, each track in it moved by so many ticks."""
    box = bytearray(moof)
    for kind, start, end in _inside(moof, 0, len(moof)):
        if kind == "mfhd":
            box[start + _FULL_BOX_BYTES : end] = number.to_bytes(4, "big")
        elif kind == "traf":
            at = _field(moof, start, end, "tfdt") + _FULL_BOX_BYTES
            width = 8 if moof[at - _FULL_BOX_BYTES] else 4
            time = int.from_bytes(moof[at : at + width], "big") + ticks[_run(moof, start, end).track]
            box[at : at + width] = time.to_bytes(width, "big")
    return bytes(box)


_FULL_BOX_BYTES = 4
"""Version and flags, with which the boxes of a fragment begin."""

_CONTAINERS = frozenset({"moof", "moov", "trak", "mdia", "minf", "stbl"})
_TFHD_FIELDS = ((0x1, 8), (0x2, 4))
"""Flags of what may stand before the default length of a sample, and its bytes: data offset, description."""


def _inside(data: bytes, start: int, end: int) -> Iterator[tuple[str, int, int]]:
    """Yield kind, and beginning and end of the content, of all boxes; containers are gone into."""
    while start + _HEADER_BYTES <= end:
        size = int.from_bytes(data[start : start + _SIZE_BYTES], "big")
        if not _HEADER_BYTES <= size <= end - start:
            raise ValueError(f"this is no fragment: a box of {size} bytes")
        kind = data[start + _SIZE_BYTES : start + _HEADER_BYTES].decode("latin-1")
        if kind in _CONTAINERS:
            yield from _inside(data, start + _HEADER_BYTES, start + size)
        else:
            yield kind, start + _HEADER_BYTES, start + size
        start += size


def _field(data: bytes, start: int, end: int, kind: str) -> int:
    """Return where the content of the box `kind` begins within the content of another one."""
    for found, at, _ in _inside(data, start, end):
        if found == kind:
            return at
    raise ValueError(f"this is no fragment: it has no {kind}")


def _run(moof: bytes, start: int, end: int) -> TrackRun:
    header = _field(moof, start, end, "tfhd")
    flags = int.from_bytes(moof[header + 1 : header + 4], "big")
    length_at = header + 8 + sum(width for flag, width in _TFHD_FIELDS if flags & flag)
    time = _field(moof, start, end, "tfdt")
    width = 8 if moof[time] else 4
    count = _field(moof, start, end, "trun") + _FULL_BOX_BYTES
    return TrackRun(
        track=int.from_bytes(moof[header + 4 : header + 8], "big"),
        start=int.from_bytes(moof[time + 4 : time + 4 + width], "big"),
        samples=int.from_bytes(moof[count : count + 4], "big"),
        sample_ticks=int.from_bytes(moof[length_at : length_at + 4], "big"),
    )
