"""What the engine and its worker process say to each other. Standard library only, to start fast.

Each message is one byte that says what it is, and its payload. The worker makes a chunk only when
asked for it, so that a reader who stops reading holds the synthesis back, or ends it.

    engine                      worker
                                READY {"version": …, "voices": […]}
    SPEAK {order}
                                CHUNK events, pcm
    NEXT (or STOP)
                                …
                                DONE, or FAILED reason
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

READY, SPEAK, CHUNK, NEXT, STOP, DONE, FAILED = (bytes([letter]) for letter in b"rscnxdf")

WORD, END, PHONEME = 1, 5, 7
"""Types of espeak-ng's events that the engine uses (espeak_EVENT_TYPE in speak_lib.h)."""

_COUNT = struct.Struct("<I")
_EVENT = struct.Struct("<4i8s")


class Event(NamedTuple):
    """One of espeak-ng's events: `sample` counts from the start, `text_position` in characters from 1."""

    type: int
    sample: int
    text_position: int
    length: int
    name: bytes


class Order(NamedTuple):
    """What to speak, in espeak-ng's own units (see `espeak_PARAMETER` in speak_lib.h)."""

    text: str
    voice: str
    rate_wpm: int
    pitch: int
    pitch_range: int


def pack_chunk(events: Sequence[Event], pcm: bytes) -> bytes:
    """Return the payload of a CHUNK message."""
    return _COUNT.pack(len(events)) + b"".join(_EVENT.pack(*event) for event in events) + pcm


def unpack_chunk(payload: bytes) -> tuple[list[Event], bytes]:
    """Return the events and the PCM of a CHUNK message."""
    (count,) = _COUNT.unpack_from(payload)
    start_of_pcm = _COUNT.size + count * _EVENT.size
    events = [Event(*fields) for fields in _EVENT.iter_unpack(payload[_COUNT.size : start_of_pcm])]
    return events, payload[start_of_pcm:]
