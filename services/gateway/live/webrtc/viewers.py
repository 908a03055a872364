"""Viewers of live films over WebRTC, each with a connection of its own (draft-ietf-wish-whep)."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from aiortc.exceptions import InternalError, InvalidStateError, OperationError
from aiortc.mediastreams import MediaStreamTrack

from services.contract.errors import AtCapacity, InvalidRequest, NotFound
from services.gateway.live.webrtc.broadcast import Broadcast
from services.gateway.live.webrtc.offers import Offer, answer_to, read_offer
from services.gateway.live.webrtc.viewing import PictureTrack, Reel, SoundTrack
from services.gateway.settings import IceServer

_log = logging.getLogger(__name__)

_CONNECTED_WITHIN_S = 15.0
_AGAIN_IN_S = 5
_ID_BYTES = 16


@dataclass(frozen=True)
class Admission:
    """What a viewer is told: the answer to its offer, and the name by which it may leave."""

    viewer_id: str
    sdp: str


class Viewers:
    """All who watch. A viewer goes when it says so, when its connection is lost, and when the session is over."""

    def __init__(self, most: int, ice_servers: Sequence[IceServer]) -> None:
        """Without `ice_servers`, viewers reach the addresses of this machine or none."""
        logging.getLogger("aioice").setLevel(logging.WARNING)  # it tells of every address it tries
        self._most = most
        self._ice_servers = [RTCIceServer(one.urls, one.username, one.credential) for one in ice_servers]
        self._leaving: dict[str, asyncio.Event] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def admit(self, broadcast: Broadcast, text: str) -> Admission:
        """Answer an offer, and show the film as soon as the viewer is connected.

        Raises `AtCapacity`, and `InvalidRequest` for an offer that cannot be answered.
        """
        offer = read_offer(text)
        if len(self._leaving) >= self._most:
            raise AtCapacity("No more viewers have room; try again shortly.", retry_after_s=_AGAIN_IN_S)
        viewer_id = secrets.token_urlsafe(_ID_BYTES)
        viewer = _Viewer(offer, self._ice_servers)
        self._leaving[viewer_id] = viewer.leaving
        try:
            sdp = await viewer.answer()
        except BaseException:  # cancellation too: whoever asked may have left
            del self._leaving[viewer_id]
            await viewer.close()
            raise
        showing = asyncio.create_task(self._show(viewer_id, viewer, broadcast))
        self._tasks.add(showing)
        showing.add_done_callback(self._tasks.discard)
        return Admission(viewer_id, sdp)

    def dismiss(self, viewer_id: str) -> None:
        """Send a viewer away; raises `NotFound`."""
        if (leaving := self._leaving.get(viewer_id)) is None:
            raise NotFound("There is no such viewer here, or it has left.")
        leaving.set()

    async def aclose(self) -> None:
        """Send all away; returns when they are gone."""
        for leaving in self._leaving.values():
            leaving.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _show(self, viewer_id: str, viewer: _Viewer, broadcast: Broadcast) -> None:
        try:
            await viewer.watch(broadcast)
        finally:
            del self._leaving[viewer_id]
            await viewer.close()
            _log.info("a viewer has left, %d remain", len(self._leaving))


class _Viewer:
    """One connection. `leaving` is set when it is lost or nobody wants it any more."""

    def __init__(self, offer: Offer, ice_servers: list[RTCIceServer]) -> None:
        self._offer = offer
        self._peer = RTCPeerConnection(RTCConfiguration(iceServers=ice_servers))
        self._peer.on("connectionstatechange", self._on_change)
        self._connected = asyncio.Event()
        self.leaving = asyncio.Event()

    async def answer(self) -> str:
        """Return the answer, with all addresses at which the viewer can reach us."""
        try:
            await self._peer.setRemoteDescription(RTCSessionDescription(self._offer.sdp, "offer"))
            for one in self._peer.getTransceivers():
                one.direction = "sendonly"
            await self._peer.setLocalDescription()
        except (InternalError, InvalidStateError, OperationError, ValueError) as error:
            raise InvalidRequest("The offer cannot be answered; send it as the player made it.") from error
        return answer_to(self._offer, self._peer.localDescription.sdp)

    async def watch(self, broadcast: Broadcast) -> None:
        """Show the film until it is over, or the viewer leaves."""
        showing = asyncio.create_task(self._show(broadcast))
        leaving = asyncio.create_task(self.leaving.wait())
        try:
            await asyncio.wait([showing, leaving], return_when=asyncio.FIRST_COMPLETED)
            if showing.done():
                showing.result()
        finally:
            showing.cancel()
            leaving.cancel()

    async def close(self) -> None:
        """Hang up."""
        await self._peer.close()

    async def _show(self, broadcast: Broadcast) -> None:
        try:
            await asyncio.wait_for(self._connected.wait(), _CONNECTED_WITHIN_S)
        except asyncio.TimeoutError:
            _log.info("a viewer did not connect within %g s", _CONNECTED_WITHIN_S)
            return
        reel = Reel(heard=self._offer.heard)
        tracks: dict[str, MediaStreamTrack] = {"video": PictureTrack(reel), "audio": SoundTrack(reel)}
        for one in self._peer.getTransceivers():
            one.sender.replaceTrack(tracks[one.kind])
        with broadcast.watched() as watching:
            await reel.play(watching)

    def _on_change(self) -> None:
        if self._peer.connectionState == "connected":
            self._connected.set()
        elif self._peer.connectionState in ("failed", "closed"):
            self.leaving.set()
