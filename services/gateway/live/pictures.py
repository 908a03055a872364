"""The pictures of a fragment as they travel over RTP: H.264 in annex B. None is decoded.

What lies in MP4 and what a decoder is fed differ in two things: each unit follows its length rather than a start
code, and the parameters that all pictures share lie at the beginning of the film rather than before a keyframe.
A demuxer does this in 3 ms for a fragment, or in 7 ms once it has decoded some to find out what it knows already;
here it takes a thirtieth of one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.chassis.fmp4 import Box, BoxReader
from services.contract.errors import EngineFailed

_HEADER_BYTES = 8
_PICTURES = 1
"""The track, in the order in which the avatar service muxes them."""

_START_CODE = b"\0\0\0\1"
_LENGTH_BYTES, _NAL_TYPE, _NAL_IDR = 4, 0x1F, 5

_DATA_OFFSET, _FIRST_FLAGS = 0x1, 0x4
_SAMPLE_FIELDS, _SIZE, _FIELDS_BEFORE_SIZE = 0xF00, 0x200, 0x100
"""Flags of a run: what stands before its samples, and what it tells of each."""

_DEFAULT_SIZE = 0x10
_BEFORE_DEFAULT_SIZE = ((0x1, 8), (0x2, 4), (0x8, 4))
"""Flags of a track's header: the size of a sample where the run tells none, and the bytes of what may be before."""


@dataclass(frozen=True)
class Picture:
    """One encoded picture; decoding can begin with it where it `starts_anew`."""

    data: bytes
    starts_anew: bool


class Pictures:
    """Takes the pictures out of the fragments of one film."""

    def __init__(self, beginning: bytes) -> None:
        """`beginning` are the boxes the film begins with. Raises `EngineFailed` where there are no pictures."""
        try:
            self._parameters = _parameters(beginning)
        except (ValueError, IndexError) as error:
            raise EngineFailed("The avatar service began a film without pictures; try again.") from error

    def of(self, fragment: bytes) -> Sequence[Picture]:
        """Return the pictures of a fragment, in order; raises `EngineFailed` for what is none."""
        try:
            return [self._picture(sample) for sample in _samples(fragment)]
        except (ValueError, struct.error) as error:
            raise EngineFailed("The avatar service sent a fragment without pictures; try again.") from error

    def _picture(self, sample: bytes) -> Picture:
        units = list(_units(sample))
        starts_anew = any(unit[0] & _NAL_TYPE == _NAL_IDR for unit in units)
        if starts_anew:
            units = [*self._parameters, *units]
        return Picture(b"".join(_START_CODE + unit for unit in units), starts_anew)


def _parameters(beginning: bytes) -> list[bytes]:
    """Return the units that all pictures of a film share, from its decoder configuration."""
    at = beginning.index(b"avcC") + 4 + 5  # after version, profile, compatibility, level and width of lengths
    found: list[bytes] = []
    for mask in (0x1F, 0xFF):  # sequence parameters, then those of pictures
        count, at = beginning[at] & mask, at + 1
        for _ in range(count):
            end = at + 2 + int.from_bytes(beginning[at : at + 2], "big")
            found.append(beginning[at + 2 : end])
            at = end
    return found


def _samples(fragment: bytes) -> Iterator[bytes]:
    moof = BoxReader().feed(fragment)[:1]
    for track in (box for one in moof for box in _inside(one) if box.kind == "traf"):
        parts = {box.kind: box.data[_HEADER_BYTES:] for box in _inside(track)}
        if {"tfhd", "trun"} <= parts.keys() and struct.unpack_from(">I", parts["tfhd"], 4)[0] == _PICTURES:
            at, sizes = _run(parts["trun"], _default_size(parts["tfhd"]))
            for size in sizes:
                yield fragment[at : at + size]
                at += size
            return
    raise ValueError("no pictures")


def _run(trun: bytes, default_size: int) -> tuple[int, list[int]]:
    """Return where the samples of a run begin, and the bytes of each."""
    flags, count = struct.unpack_from(">II", trun)
    if not flags & _DATA_OFFSET:
        raise ValueError("no place")
    (begin,) = struct.unpack_from(">i", trun, 8)
    if not flags & _SIZE:
        return begin, [default_size] * count
    at = 12 + (4 if flags & _FIRST_FLAGS else 0) + (4 if flags & _FIELDS_BEFORE_SIZE else 0)
    step = 4 * (flags & _SAMPLE_FIELDS).bit_count()
    return begin, [struct.unpack_from(">I", trun, at + step * sample)[0] for sample in range(count)]


def _default_size(tfhd: bytes) -> int:
    flags = int.from_bytes(tfhd[1:4], "big")
    if not flags & _DEFAULT_SIZE:
        return 0
    at = 8 + sum(width for flag, width in _BEFORE_DEFAULT_SIZE if flags & flag)
    return int(struct.unpack_from(">I", tfhd, at)[0])


def _units(sample: bytes) -> Iterator[bytes]:
    at = 0
    while at + _LENGTH_BYTES < len(sample):
        begin = at + _LENGTH_BYTES
        at = begin + int.from_bytes(sample[at:begin], "big")
        if unit := sample[begin:at]:
            yield unit


def _inside(box: Box) -> list[Box]:
    return BoxReader().feed(box.data[_HEADER_BYTES:])
