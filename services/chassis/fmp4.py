"""Reads the boxes of a fragmented MP4 that arrives in pieces, and moves fragments to other places of the film.

Sources: ISO/IEC 14496-12 (boxes and fragments), 14496-15 (`avcC`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    sample_ticks: int
    offset: int
    """Where the first sample begins, in bytes from the beginning of the fragment; the others follow it."""
    sizes: tuple[int, ...]
    """Bytes of each sample."""

    @property
    def samples(self) -> int:
        """How many there are."""
        return len(self.sizes)

    def data_in(self, fragment: bytes) -> Iterator[bytes]:
        """Yield the samples."""
        at = self.offset
        for size in self.sizes:
            yield fragment[at : at + size]
            at += size


def track_runs(moof: bytes) -> list[TrackRun]:
    """Return what the fragment that begins with `moof` holds; raises `ValueError` for what is no such box."""
    return [_run(moof, start, end) for kind, start, end in _inside(moof, 0, len(moof)) if kind == "traf"]


def decoder_configuration(beginning: bytes) -> bytes:
    """Return what an H.264 decoder is to know of a film that begins so; raises `ValueError` where it does not say."""
    at = beginning.index(b"avcC")
    return beginning[at + 4 : at - _SIZE_BYTES + int.from_bytes(beginning[at - _SIZE_BYTES : at], "big")]


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
_DURATION, _SIZE = 0x8, 0x10
_HEADER_FIELDS = ((0x1, 8), (0x2, 4), (_DURATION, 4), (_SIZE, 4))
"""Flags of what a track's header may hold, in this order, and the bytes of it: data offset, description, defaults."""

_OFFSET = 0x1
_RUN_FIELDS = ((_OFFSET, 4), (0x4, 4))
"""The same of a run: where its samples begin, and flags of the first one."""

_FIELDS_OF_EACH, _SIZE_OF_EACH, _BEFORE_SIZE = 0xF00, 0x200, 0x100
"""Flags of what a run tells of each sample, four bytes each."""


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
    defaults, _ = _optional(moof, header, header + 2 * _FULL_BOX_BYTES, _HEADER_FIELDS)
    time = _field(moof, start, end, "tfdt")
    width = 8 if moof[time] else 4
    run = _field(moof, start, end, "trun")
    told, samples_at = _optional(moof, run, run + 2 * _FULL_BOX_BYTES, _RUN_FIELDS)
    try:
        return TrackRun(
            track=_number(moof, header + _FULL_BOX_BYTES),
            start=int.from_bytes(moof[time + 4 : time + 4 + width], "big"),
            sample_ticks=defaults[_DURATION],
            offset=told[_OFFSET],
            sizes=_sizes(moof, run, samples_at, defaults.get(_SIZE, 0)),
        )
    except KeyError as error:
        raise ValueError("this is no fragment: it does not say where its samples are, and how long") from error


def _optional(data: bytes, box: int, at: int, fields: Sequence[tuple[int, int]]) -> tuple[dict[int, int], int]:
    """Return those of `fields` that the flags of the box announce, which stand from `at` on, and where they end."""
    flags = int.from_bytes(data[box + 1 : box + _FULL_BOX_BYTES], "big")
    found: dict[int, int] = {}
    for flag, width in fields:
        if flags & flag:
            found[flag] = int.from_bytes(data[at : at + width], "big")
            at += width
    return found, at


def _sizes(data: bytes, run: int, at: int, default: int) -> tuple[int, ...]:
    """Return the bytes of each sample of a run, whose samples are told of from `at` on."""
    flags, count = int.from_bytes(data[run + 1 : run + _FULL_BOX_BYTES], "big"), _number(data, run + _FULL_BOX_BYTES)
    step = 4 * (flags & _FIELDS_OF_EACH).bit_count()
    if count * step > len(data) - at:
        raise ValueError(f"this is no fragment: it cannot tell of {count} samples")
    if not flags & _SIZE_OF_EACH:
        return (default,) * count
    at += 4 if flags & _BEFORE_SIZE else 0
    return tuple(_number(data, at + step * sample) for sample in range(count))


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")
