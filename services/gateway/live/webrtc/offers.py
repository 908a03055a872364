"""What a viewer offers to receive, and what it is answered (SDP).

The film is H.264 of the High profile and is sent as it is. WebRTC's library knows the Baseline profiles only, which it
would encode itself: so it is shown an offer in which the best of the viewer's H.264 formats goes by such a name, and
its answer gets the true name back.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from aiortc import RTCIceCandidate, RTCRtpCodecParameters
from aiortc.codecs import is_rtx
from aiortc.rtp import DYNAMIC_PAYLOAD_TYPES
from aiortc.sdp import MediaDescription, SessionDescription

from services.contract.errors import InvalidRequest

_KNOWN_PROFILE = "42e01f"
_PROFILES = ("6400", "640c", "f400", "4d00", "42e0", "4200")
"""Formats from best to worst. Whoever decodes High 4:4:4 decodes High; the others say less than their decoders do."""

_PROFILE, _MODE = "profile-level-id", "packetization-mode"
_NUMBERED = "with a payload type from 96 to 127"
_RECEIVING = ("recvonly", "sendrecv", None)
_MOST_CANDIDATES = 32
_CANDIDATES = ("host", "srflx", "relay")
_DISCARD = ("0.0.0.0", 9)
"""Where nothing is sent to (RFC 8839)."""


@dataclass(frozen=True)
class Offer:
    """An offer as the library is to read it."""

    sdp: str
    profile: str
    """The viewer's name for the format of the pictures."""
    heard: bool
    """Whether it wants sound, too."""


def read_offer(text: str) -> Offer:
    """Return what a viewer offers; raises `InvalidRequest` for what is no SDP, or cannot be answered with a film."""
    session = _parsed(text)
    kinds = [media.kind for media in session.media]
    if kinds.count("video") != 1 or kinds.count("audio") > 1 or len(set(kinds) - {"audio", "video"}):
        raise InvalidRequest("The offer must have one section of video and at most one of audio, and no others.")
    mids = {media.rtp.muxId for media in session.media}
    bundled = {mid for group in session.group for mid in group.items}
    if len(mids) < len(kinds) or not bundled <= mids:
        raise InvalidRequest("Each section of the offer must have a mid of its own, and groups must name these.")
    session.host, profile = None, ""
    for media in session.media:
        _check(media)
        if media.kind == "video":
            profile = _choose_pictures(media)
        else:
            _choose_sound(media)
        media.ice_candidates = _useful(media.ice_candidates)
        media.ice_candidates_complete = False  # the viewer's own checks may come from anywhere
        media.direction = "recvonly"
        media.host = None  # candidates say it
        media.rtcp_host, media.rtcp_port = _DISCARD
    return Offer(str(session), profile, heard="audio" in kinds)


def answer_to(offer: Offer, sdp: str) -> str:
    """Return the library's answer `sdp` with the viewer's name for the format of the pictures."""
    return sdp.replace(f"{_PROFILE}={_KNOWN_PROFILE}", f"{_PROFILE}={offer.profile}")


def _parsed(text: str) -> SessionDescription:
    try:
        return SessionDescription.parse(text)
    except (AssertionError, AttributeError, IndexError, KeyError, StopIteration, TypeError, ValueError) as error:
        # Whatever its parser stumbles over.
        raise InvalidRequest("The body is no SDP that could be read; send the offer as the player made it.") from error


def _check(media: MediaDescription) -> None:
    """Raise `InvalidRequest` for a section that lacks what every player sends."""
    if not (media.ice and media.ice.usernameFragment and media.ice.password and media.dtls and media.dtls.fingerprints):
        raise InvalidRequest("The offer lacks ice-ufrag, ice-pwd, fingerprint or setup.")
    if not (media.rtp.muxId and media.rtcp_mux):
        raise InvalidRequest("The offer lacks mid or rtcp-mux.")
    if media.direction not in _RECEIVING:
        raise InvalidRequest("The offer must be to receive: recvonly.")


def _choose_pictures(media: MediaDescription) -> str:
    """Leave the best format alone in `media`, by the name the library knows; return the viewer's name for it."""
    fitting = [codec for codec in media.rtp.codecs if _rank(codec) < len(_PROFILES)]
    if not fitting:
        raise InvalidRequest(f"The offer must take H.264 with packetization-mode=1 for pictures, {_NUMBERED}.")
    chosen = min(fitting, key=_rank)
    profile = str(chosen.parameters.get(_PROFILE) or _KNOWN_PROFILE)
    again = [one for one in media.rtp.codecs if is_rtx(one) and one.parameters.get("apt") == chosen.payloadType]
    chosen.parameters |= {_PROFILE: _KNOWN_PROFILE, _MODE: "1"}
    _leave_alone(media, [chosen, *again])
    return profile


def _choose_sound(media: MediaDescription) -> None:
    """Leave Opus alone in `media`."""
    fitting = [codec for codec in media.rtp.codecs if _is_named(codec, "opus")]
    if not fitting:
        raise InvalidRequest(f"The offer must take Opus for sound, {_NUMBERED}.")
    _leave_alone(media, fitting[:1])


def _leave_alone(media: MediaDescription, codecs: list[RTCRtpCodecParameters]) -> None:
    media.rtp.codecs = codecs
    media.fmt = [codec.payloadType for codec in codecs]


def _rank(codec: RTCRtpCodecParameters) -> int:
    """Return how well a format suits; as many as there are for one that does not."""
    if not _is_named(codec, "h264"):
        return len(_PROFILES)
    if not codec.parameters:  # as players say who take whatever comes
        return len(_PROFILES) - 1
    profile = str(codec.parameters.get(_PROFILE) or "").lower()[:4]
    is_fitting = codec.parameters.get(_MODE) == "1" and profile in _PROFILES
    return _PROFILES.index(profile) if is_fitting else len(_PROFILES)


def _is_named(codec: RTCRtpCodecParameters, name: str) -> bool:
    """Whether a format is of that kind, and has a number the library can send; browsers have begun to use others."""
    return codec.name.lower() == name and codec.payloadType in DYNAMIC_PAYLOAD_TYPES


def _useful(candidates: Sequence[RTCIceCandidate]) -> list[RTCIceCandidate]:
    """Return the addresses that can be tried. Names that only the viewer's own network knows are learned otherwise."""
    found = [
        one for one in candidates if one.type in _CANDIDATES and one.protocol.lower() == "udp" and one.component == 1
    ]
    return [one for one in found if _is_address(one.ip)][:_MOST_CANDIDATES]


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
