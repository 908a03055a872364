"""What one viewer is sent: pictures and sound laid on one clock, and given to WebRTC when their time has come.

The clock counts samples since the viewer was connected. It says when something is sent, and is its timestamp, too,
so that sound and pictures meet again at the other end. What comes too late is laid a little ahead of the clock: until
then there is silence, and the picture stands still.
"""

from __future__ import annotations

import asyncio
from fractions import Fraction

from aiortc.mediastreams import VIDEO_CLOCK_RATE, VIDEO_TIME_BASE, MediaStreamTrack
from av import AudioFrame
from av.packet import Packet
from av.stream import Stream

from services.contract.speech import SAMPLE_BYTES
from services.contract.video import FILM_SAMPLE_RATE_HZ
from services.gateway.live.webrtc.broadcast import Clip, Watching

PACKET_SAMPLES = 960
"""Samples of a packet of Opus."""

_CUSHION_PACKETS = 5
"""How far ahead of the clock is laid what begins, or comes too late: what follows may be as late unseen."""

_LAID_AHEAD_S = 0.1


class Reel:
    """Pictures and sound in the order in which they are sent."""

    def __init__(self, *, heard: bool) -> None:
        """The clock begins now. Sound is only kept where it is `heard`."""
        self._heard = heard
        self._began_s = _now_s()
        self._pictures: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
        self._sound = bytearray()
        self._read = self._end = 0

    async def play(self, watching: Watching) -> None:
        """Lay what is watched, each clip a little before its time; return when the film is over."""
        while (clip := await watching.next()) is not None:
            self._lay(clip)
            await self._until(self._end, before_s=_LAID_AHEAD_S)
        await self._until(self._end)

    async def picture(self) -> tuple[int, bytes]:
        """Return the next picture, and its sample on the clock, when its time has come."""
        at, picture = await self._pictures.get()
        await self._until(at)
        return at, picture

    async def sound(self) -> tuple[int, bytes]:
        """Return the PCM of the next packet, and its first sample, when its time has come."""
        at, size = self._read, SAMPLE_BYTES * PACKET_SAMPLES
        await self._until(at)
        pcm = bytes(self._sound[:size])
        del self._sound[:size]
        self._read += PACKET_SAMPLES
        return at, pcm.ljust(size, b"\0")

    def _lay(self, clip: Clip) -> None:
        now = int((_now_s() - self._began_s) * FILM_SAMPLE_RATE_HZ) // PACKET_SAMPLES
        start = self._end
        # A packet that was read already is over, even where the clock is a moment short of that.
        if start < max((now + 1) * PACKET_SAMPLES, self._read):
            start = (now + _CUSHION_PACKETS) * PACKET_SAMPLES
        for number, picture in enumerate(clip.pictures):
            self._pictures.put_nowait((start + number * clip.samples // len(clip.pictures), picture.data))
        self._end = start + clip.samples
        if self._heard:
            laid = self._read + len(self._sound) // SAMPLE_BYTES
            self._sound += bytes(SAMPLE_BYTES * (start - laid)) + clip.pcm

    async def _until(self, sample: int, before_s: float = 0.0) -> None:
        due_s = self._began_s + sample / FILM_SAMPLE_RATE_HZ - before_s
        await asyncio.sleep(due_s - _now_s())


class PictureTrack(MediaStreamTrack):
    """The pictures as they were encoded."""

    kind = "video"

    def __init__(self, reel: Reel) -> None:
        super().__init__()
        self._reel = reel

    async def recv(self) -> Packet[Stream]:
        """Return the next picture when its time has come."""
        at, picture = await self._reel.picture()
        packet = Packet(picture)
        packet.pts = at * VIDEO_CLOCK_RATE // FILM_SAMPLE_RATE_HZ
        packet.time_base = VIDEO_TIME_BASE
        return packet


class SoundTrack(MediaStreamTrack):
    """The sound, silence where there is none."""

    kind = "audio"

    def __init__(self, reel: Reel) -> None:
        super().__init__()
        self._reel = reel

    async def recv(self) -> AudioFrame:
        """Return the next 20 ms when their time has come."""
        at, pcm = await self._reel.sound()
        frame = AudioFrame(format="s16", layout="mono", samples=PACKET_SAMPLES)
        frame.planes[0].update(pcm)
        frame.pts, frame.sample_rate = at, FILM_SAMPLE_RATE_HZ
        frame.time_base = Fraction(1, FILM_SAMPLE_RATE_HZ)
        return frame


def _now_s() -> float:
    return asyncio.get_running_loop().time()
