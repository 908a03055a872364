"""Who watches a live film over WebRTC, and notes what arrives when."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import av
import httpx
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from aiortc.rtp import AnyRtcpPacket, RtcpSrPacket, RtpPacket

SDP = {"Content-Type": "application/sdp"}
NTP_FRACTION = 2**32


class Clock:
    """The sender's clock, as a receiver learns of it: what its timestamps mean is told in its reports."""

    def __init__(self, receiver: RTCRtpReceiver, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._origin: int | None = None
        self._reports: list[tuple[float, int]] = []
        packet_taken, report_taken = receiver._handle_rtp_packet, receiver._handle_rtcp_packet

        async def take_packet(packet: RtpPacket, arrival_time_ms: int) -> None:
            self._origin = packet.timestamp if self._origin is None else self._origin
            await packet_taken(packet, arrival_time_ms)

        async def take_report(packet: AnyRtcpPacket) -> None:
            if isinstance(packet, RtcpSrPacket) and packet.sender_info.packet_count:
                sent = packet.sender_info
                self._reports.append((sent.ntp_timestamp / NTP_FRACTION, sent.rtp_timestamp))
            await report_taken(packet)

        receiver._handle_rtp_packet, receiver._handle_rtcp_packet = take_packet, take_report

    def sent_s(self, pts: int) -> float:
        """Return when something was sent whose timestamp lies so far after the first one."""
        assert self._origin is not None
        return float(np.median([ntp_s + (self._origin + pts - rtp) / self._rate_hz for ntp_s, rtp in self._reports]))


@dataclass
class Viewer:
    """A connection, and what came over it: each frame with the time of its arrival."""

    peer: RTCPeerConnection = field(default_factory=lambda: RTCPeerConnection(RTCConfiguration(iceServers=[])))
    pictures: list[tuple[float, av.VideoFrame]] = field(default_factory=list)
    sounds: list[tuple[float, av.AudioFrame]] = field(default_factory=list)
    clocks: dict[str, Clock] = field(default_factory=dict)
    asked_s: float = 0.0
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def offer(self) -> str:
        """Return what it can receive."""
        for kind, rate_hz in {"video": 90_000, "audio": 48_000}.items():
            receiver = self.peer.addTransceiver(kind, "recvonly").receiver
            self.clocks[kind] = Clock(receiver, rate_hz)
        self.peer.on("track", lambda track: asyncio.ensure_future(self._read(track)))
        await self.peer.setLocalDescription(await self.peer.createOffer())
        return self.peer.localDescription.sdp

    async def take(self, answer: str) -> None:
        await self.peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def _read(self, track: MediaStreamTrack) -> None:
        taken: list = self.pictures if track.kind == "video" else self.sounds
        while True:
            try:
                taken.append((time.monotonic(), await track.recv()))
            except MediaStreamError:
                self.ended.set()
                return
            taken[-1] = (time.monotonic(), taken[-1][1])


@asynccontextmanager
async def watching(http: httpx.AsyncClient, path: str) -> AsyncIterator[tuple[Viewer, Mapping[str, str]]]:
    """Give a viewer whose offer was accepted, and the headers of the answer."""
    viewer = Viewer()
    try:
        offer = await viewer.offer()
        viewer.asked_s = time.monotonic()
        answer = await http.post(path, content=offer, headers=SDP)
        assert answer.status_code == 201, answer.text
        await viewer.take(answer.text)
        yield viewer, answer.headers
    finally:
        await viewer.peer.close()
