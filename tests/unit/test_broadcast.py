"""Who watches a live film gets it picture by picture, as it was encoded, and never holds it up."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from typing import cast

import av
import numpy as np
import pytest

from services.avatar.engine import FrameSize
from services.avatar.mux import mux_segment
from services.avatar.segment import Segment
from services.chassis.fmp4 import BoxReader, track_runs
from services.contract.errors import AtCapacity, EngineFailed, InvalidRequest, NotFound, Unavailable
from services.contract.motion import MotionPath
from services.contract.speech import SAMPLE_BYTES, AudioChunk
from services.contract.video import Timeline
from services.gateway.live.film import Beginning
from services.gateway.live.stage import Cue, Unit
from services.gateway.live.webrtc.broadcast import Broadcast, Broadcasts, Clip, Watching
from services.gateway.live.webrtc.offers import answer_to, read_offer
from services.gateway.live.webrtc.pictures import Picture, Pictures
from services.gateway.live.webrtc.viewers import Viewers
from services.gateway.live.webrtc.viewing import PACKET_SAMPLES, Reel
from services.gateway.routes.whep import WebRtc
from services.gateway.settings import GatewaySettings
from tests.live import run_jumping, until
from tests.service.card import CardEngine, CardTrack
from tests.viewer import Viewer

SIZE = FrameSize(128, 128)
SPEAKING = cast(Cue, object())
FPS = Fraction(25)
FRAME_SAMPLES = 1920


def film_of(frames: int, fps: Fraction = FPS) -> bytes:
    sound = AudioChunk(bytes(SAMPLE_BYTES * Timeline(fps).samples_between(0, frames)), 48_000)
    segment = Segment(sound, 0, fps, SIZE, MotionPath(0, frames, frames))
    pictures = CardEngine().render(CardTrack(SIZE, ""), sound, 0, fps, motion=segment.motion)
    return b"".join(mux_segment(pictures, segment))


def events_of(film: bytes, cue: Cue | None = None) -> Iterator[Beginning | Unit]:
    boxes, frame = BoxReader().feed(film), 0
    yield Beginning(b"".join(box.data for box in boxes if box.is_init))
    for moof, mdat in pairwise(boxes):
        if moof.kind == "moof":
            frames = track_runs(moof.data)[0].samples
            pcm = bytes(SAMPLE_BYTES * FRAME_SAMPLES * frames)
            yield Unit(frame, frames, moof.data + mdat.data, pcm, cue, 0.0, 0.0)
            frame += frames


def clip(mark: int = 0, *, anew: bool = True, rests: bool = False, frames: int = 5) -> Clip:
    """Return a clip whose pictures and whose sound are `mark`."""
    pictures = [Picture(bytes([mark]), anew and number == 0) for number in range(frames)]
    return Clip(pictures, np.full(FRAME_SAMPLES * frames, mark, "<i2").tobytes(), rests)


def given(watching: Watching) -> list[int]:
    """Return the marks of all that waits."""

    async def run() -> list[int]:
        watching.end()
        return [one.pictures[0].data[0] async for one in all_of(watching)]

    async def all_of(watching: Watching):  # type: ignore[no-untyped-def]
        while (one := await watching.next()) is not None:
            yield one

    return asyncio.run(run())


@pytest.mark.parametrize("fps", [FPS, Fraction(30), Fraction(60)], ids=str)
@pytest.mark.parametrize("frames", [1, 2, 8, 71])
def test_pictures_are_taken_out_as_they_are(frames: int, fps: Fraction) -> None:
    film = film_of(frames, fps)
    beginning, *units = events_of(film)
    assert isinstance(beginning, Beginning)
    pictures = Pictures(beginning.boxes)
    taken = [picture for unit in units if isinstance(unit, Unit) for picture in pictures.of(unit.data)]
    with av.open(io.BytesIO(film)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        assert [picture.starts_anew for picture in taken] == [packet.is_keyframe for packet in packets]
    decoder = av.CodecContext.create("h264", "r")
    shown = [frame for one in taken for frame in decoder.decode(av.Packet(one.data))] + decoder.decode(None)
    with av.open(io.BytesIO(film)) as container:
        wanted = list(container.decode(video=0))
    assert len(shown) == len(wanted) == frames
    assert all(np.array_equal(a.to_ndarray(), b.to_ndarray()) for a, b in zip(shown, wanted, strict=True))


def test_what_is_no_film_is_refused() -> None:
    beginning, unit = list(events_of(film_of(3)))
    assert isinstance(beginning, Beginning) and isinstance(unit, Unit)
    with pytest.raises(EngineFailed):
        Pictures(b"ftyp")
    for broken in (b"", b"x" * 99, unit.data[:40], unit.data.replace(b"trun", b"free"), unit.data[500:]):
        with pytest.raises(EngineFailed):
            Pictures(beginning.boxes).of(broken)


def test_who_comes_later_begins_with_a_keyframe() -> None:
    broadcast = Broadcast("live_x")
    beginning, *units = events_of(film_of(60))
    broadcast.publish(beginning)
    broadcast.publish(units[0])
    with broadcast.watched() as early:
        broadcast.publish(units[1])
        broadcast.publish(units[2])

        async def first() -> Clip | None:
            for unit in units[3:]:
                broadcast.publish(unit)
            broadcast.end()
            return await early.next()

        one = asyncio.run(first())
    assert one is not None and one.starts_anew and one.rests
    assert one.samples == FRAME_SAMPLES * 5
    with broadcast.watched() as late:
        assert given(late) == []


def test_who_is_slow_loses_whole_clips_and_goes_on_with_a_keyframe() -> None:
    watching = Watching()
    for number in range(30):
        watching.put(clip(number, anew=number % 6 == 0))
    assert given(watching) == [24, 25, 26, 27, 28, 29]


def test_who_is_behind_catches_up_while_the_avatar_rests() -> None:
    resting, talking = Watching(), Watching()
    for number in range(6):
        for part in range(2):
            resting.put(clip(number, anew=part == 0, rests=True, frames=4))
    for number in range(3):
        talking.put(clip(number, anew=True))
    assert given(resting) == [5, 5]
    assert given(talking) == [0, 1, 2]


def test_a_session_is_found_by_its_id_until_it_is_over() -> None:
    broadcasts = Broadcasts()
    with broadcasts.open() as one, broadcasts.open() as other:
        assert one.session_id != other.session_id and len(one.session_id) > 20
        assert broadcasts.find(one.session_id) is one
        assert one.told()["whep_url"] == f"/v1/video/whep?session={one.session_id}"
        other.end()
        assert "whep_url" not in other.told()
        with pytest.raises(NotFound):
            broadcasts.find(other.session_id)
    with pytest.raises(NotFound):
        broadcasts.find(one.session_id)


def test_sound_and_pictures_are_sent_together_and_on_time_however_late_they_come() -> None:
    arrivals_s = [0.0, 0.1, 0.1, 0.2, 1.5, 1.61, 1.9]

    async def run() -> tuple[list[tuple[float, int, int]], list[tuple[float, int, bytes]]]:
        loop = asyncio.get_running_loop()
        reel, watching, began_s = Reel(heard=True), Watching(), loop.time()
        pictures: list[tuple[float, int, int]] = []
        sounds: list[tuple[float, int, bytes]] = []

        async def look() -> None:
            while True:
                at, picture = await reel.picture()
                pictures.append((loop.time() - began_s, at, picture[0]))

        async def listen() -> None:
            while True:
                at, pcm = await reel.sound()
                sounds.append((loop.time() - began_s, at, pcm))

        tasks = [asyncio.create_task(work) for work in (look(), listen(), reel.play(watching))]
        for number, arrival_s in enumerate(arrivals_s):
            await asyncio.sleep(began_s + arrival_s - loop.time())
            watching.put(clip(number + 1))
        watching.end()
        await tasks[2]
        await asyncio.sleep(0.1)
        for task in tasks[:2]:
            task.cancel()
        return pictures, sounds

    pictures, sounds = run_jumping(run())
    assert [mark for _, _, mark in pictures] == [number + 1 for number in range(len(arrivals_s)) for _ in range(5)]
    assert all(sent_s == pytest.approx(at / 48_000, abs=1e-6) for sent_s, at, _ in [*pictures, *sounds])
    assert [at for _, at, _ in sounds] == [PACKET_SAMPLES * number for number in range(len(sounds))]
    heard = np.frombuffer(b"".join(pcm for _, _, pcm in sounds), "<i2")
    for _, at, mark in pictures:
        assert set(heard[at : at + FRAME_SAMPLES]) == {mark}
    assert np.count_nonzero(heard) == FRAME_SAMPLES * len(pictures)
    firsts_s = [sent_s for sent_s, _, _ in pictures[::5]]
    assert firsts_s == pytest.approx([0.1, 0.3, 0.5, 0.7, 1.6, 1.8, 2.0], abs=0.02)


H264 = "level-asymmetry-allowed=1;packetization-mode=%d;profile-level-id=%s"
TRANSPORT = (
    "c=IN IP4 0.0.0.0",
    "a=candidate:1 1 udp 2113937151 0c2d6a9e-aaaa-4bbb-8ccc-1234567890ab.local 54690 typ host",
    "a=candidate:2 1 udp 2113937151 192.0.2.7 54691 typ host",
    "a=candidate:3 1 tcp 2113937151 192.0.2.7 9 typ host tcptype active",
    "a=end-of-candidates",
    "a=ice-ufrag:dMCS",
    "a=ice-pwd:NEoY+cHrWlEhK4ydI3fjv99O",
    "a=fingerprint:sha-256 " + ":".join(["7C"] * 32),
    "a=setup:actpass",
    "a=recvonly",
    "a=rtcp-mux",
)


def offered(formats: dict[int, str]) -> str:
    """Return an offer as browsers make it, with these formats of H.264 by their payload types."""
    lines = ["v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0 1"]
    lines += [f"m=video 9 UDP/TLS/RTP/SAVPF {' '.join(map(str, formats))}", "a=mid:0", *TRANSPORT]
    for number, parameters in formats.items():
        lines.append(f"a=rtpmap:{number} H264/90000")
        lines += [f"a=fmtp:{number} {parameters}"] if parameters else []
    lines += ["m=audio 9 UDP/TLS/RTP/SAVPF 0 111", "a=mid:1", *TRANSPORT, "a=rtpmap:0 PCMU/8000"]
    lines += ["a=rtpmap:111 opus/48000/2", "a=fmtp:111 minptime=10;useinbandfec=1"]
    return "\r\n".join(lines) + "\r\n"


@pytest.mark.parametrize(
    ("formats", "chosen"),
    [
        ({102: H264 % (1, "42001f"), 108: H264 % (1, "42e01f"), 116: H264 % (1, "4d001f")}, "116 4d001f"),
        ({108: H264 % (1, "42e01f"), 116: H264 % (0, "4d001f"), 41: H264 % (1, "f4001f")}, "108 42e01f"),
        ({108: H264 % (1, "42e01f"), 123: H264 % (1, "640c1f")}, "123 640c1f"),
        ({99: H264 % (1, "64002A"), 101: H264 % (1, "640c1f")}, "99 64002A"),
        ({96: ""}, "96 42e01f"),
    ],
)
def test_the_best_format_is_chosen_and_goes_by_its_name(formats: dict[int, str], chosen: str) -> None:
    offer = read_offer(offered(formats))
    number, name = chosen.split()
    assert f" {number}\r\n" in next(line for line in offer.sdp.splitlines(keepends=True) if line.startswith("m=video"))
    assert f"profile-level-id={name}" in answer_to(offer, offer.sdp)
    assert "PCMU" not in offer.sdp
    assert offer.sdp.count("a=candidate") == offer.sdp.count("192.0.2.7 54691") == 2


@pytest.mark.parametrize(
    "spoil",
    [
        lambda sdp: "",
        lambda sdp: "v=0\r\nm=nonsense\r\n",
        lambda sdp: sdp.replace("H264", "VP8"),
        lambda sdp: sdp.replace("opus", "speex"),
        lambda sdp: sdp.replace("packetization-mode=1", "packetization-mode=0"),
        lambda sdp: sdp.replace("a=recvonly", "a=sendonly"),
        lambda sdp: sdp.replace("a=rtcp-mux\r\n", ""),
        lambda sdp: sdp.replace("a=mid:", "a=dim:"),
        lambda sdp: sdp.replace("BUNDLE 0 1", "BUNDLE 7 0 1"),
        lambda sdp: sdp.replace("a=mid:1", "a=mid:0"),
        lambda sdp: sdp.replace("a=ice-pwd", "a=pwd"),
        lambda sdp: sdp.replace("a=fingerprint", "a=print"),
        lambda sdp: sdp.replace("a=setup:actpass", "a=setup:maybe"),
        lambda sdp: sdp.replace("m=audio", "m=video"),
        lambda sdp: sdp.replace("a=fmtp:102", "a=fmtp:103"),
        lambda sdp: sdp.replace("a=rtpmap:102", "a=rtpmap:41").replace("a=fmtp:102", "a=fmtp:41"),
        lambda sdp: sdp.replace("102", "41"),
    ],
)
def test_an_offer_that_cannot_be_answered_is_refused(spoil) -> None:  # type: ignore[no-untyped-def]
    sdp = offered({102: H264 % (1, "42e01f")})
    read_offer(sdp)
    with pytest.raises(InvalidRequest):
        read_offer(spoil(sdp))


def test_without_the_library_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "services.gateway.live.webrtc.viewers", None)
    with pytest.raises(Unavailable, match="pip install aiortc"):
        asyncio.run(WebRtc(GatewaySettings()).viewers())


def test_viewers_are_counted_and_sent_away() -> None:
    async def run() -> None:
        viewers, broadcast = Viewers(1, []), Broadcast("live_x")
        first, second = Viewer(), Viewer()
        try:
            admission = await viewers.admit(broadcast, await first.offer())
            await first.take(admission.sdp)
            offer = await second.offer()
            with pytest.raises(AtCapacity) as refused:
                await viewers.admit(broadcast, offer)
            assert refused.value.retry_after_s
            await until(lambda: first.peer.connectionState == "connected")
            viewers.dismiss(admission.viewer_id)
            await asyncio.wait_for(first.ended.wait(), 5)
            with pytest.raises(NotFound):
                viewers.dismiss(admission.viewer_id)
            await second.take((await viewers.admit(broadcast, offer)).sdp)
            await until(lambda: second.peer.connectionState == "connected")
            await viewers.aclose()
            await asyncio.wait_for(second.ended.wait(), 5)
        finally:
            await first.peer.close()
            await second.peer.close()

    asyncio.run(run())


def test_a_viewer_who_hangs_up_leaves_room_and_the_end_of_a_session_ends_who_watches() -> None:
    async def run() -> None:
        viewers, broadcast = Viewers(1, []), Broadcast("live_x")
        first, second = Viewer(), Viewer()
        try:
            await first.take((await viewers.admit(broadcast, await first.offer())).sdp)
            await until(lambda: first.peer.connectionState == "connected")
            await first.peer.close()
            await asyncio.sleep(0.2)
            await second.take((await viewers.admit(broadcast, await second.offer())).sdp)
            await until(lambda: second.peer.connectionState == "connected")
            broadcast.end()
            await asyncio.wait_for(second.ended.wait(), 5)
        finally:
            await first.peer.close()
            await second.peer.close()
            await viewers.aclose()

    asyncio.run(run())
