"""Pieces of a live film: fragments as they are rendered, and put where they are shown."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from fractions import Fraction

from services.chassis.fmp4 import BoxReader, moved, track_runs
from services.contract.errors import EngineFailed
from services.contract.video import PICTURE_TRACK, SOUND_TRACK, Timeline
from services.gateway.laying import Segment
from services.gateway.pipeline import FilmMaker, Fragment
from services.gateway.script import Script

PACKET_SAMPLES = 1024
"""Samples of a packet of AAC; all packets of a film stand on one grid."""

_SHORTEST_PIECE_S = 0.3


def piece_frames(fps: Fraction) -> int:
    """Return of how many frames an idle piece is: so many that it begins and ends alike on the grid of packets.

    What is put off by such pieces keeps its packets of sound.
    """
    samples = Timeline(fps).samples_between(0, 1)
    least = PACKET_SAMPLES // math.gcd(PACKET_SAMPLES, samples)
    return least * math.ceil(_SHORTEST_PIECE_S * fps / least)


@dataclass(frozen=True)
class Footage:
    """One fragment as it was rendered: its boxes, and how many frames it shows from `first_frame` on."""

    moof: bytes
    mdat: bytes
    first_frame: int
    frames: int
    segment_frame: int
    """The first frame of the segment it belongs to."""

    def put_off(self, frames: int, number: int, timeline: Timeline) -> bytes:
        """Return it as fragment `number` of a film, shown so much later. Nothing is decoded.

        The sound stays on the grid of packets: it fits exactly where it is put off by whole idle pieces,
        and silence fits anywhere.
        """
        ticks = {run.track: frames * run.sample_ticks for run in track_runs(self.moof)}
        here, there = self.segment_frame, self.segment_frame + frames
        ticks[SOUND_TRACK] = _packet_at(timeline, there) - _packet_at(timeline, here)
        return moved(self.moof, ticks, number) + self.mdat


@dataclass(frozen=True)
class Beginning:
    """The boxes a film begins with; those of all its segments are the same."""

    boxes: bytes


async def footage(films: FilmMaker, script: Script, segment: Segment) -> AsyncGenerator[Beginning | Footage, None]:
    """Yield a segment fragment by fragment as it is rendered, the first of a film with its beginning.

    Raises whatever the avatar service refuses, and `EngineFailed` for what is no film.
    """
    reader, beginning, moof = BoxReader(), b"", b""
    first_frame = frame = segment.spoken.first_frame
    async with aclosing(films.shot(script, segment)) as events:
        async for event in events:
            if not isinstance(event, Fragment):
                continue
            for box in reader.feed(event.data):
                if box.is_init:
                    beginning += box.data
                elif box.kind == "moof":
                    moof = box.data
                elif box.kind == "mdat":
                    if beginning:
                        yield Beginning(beginning)
                        beginning = b""
                    frames = _frames(moof)
                    yield Footage(moof, box.data, frame, frames, first_frame)
                    frame += frames


def _frames(moof: bytes) -> int:
    try:
        return next(run.samples for run in track_runs(moof) if run.track == PICTURE_TRACK)
    except (StopIteration, ValueError) as error:
        raise EngineFailed("The avatar service sent a fragment without pictures; try again.") from error


def _packet_at(timeline: Timeline, frame: int) -> int:
    """Return the first sample of the first packet that belongs to what begins with `frame`."""
    return -(-timeline.sample_at(frame) // PACKET_SAMPLES) * PACKET_SAMPLES
