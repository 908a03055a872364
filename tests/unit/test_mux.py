"""Segments muxed alone join into one exact film."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Generator
from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt
import pytest

from services.avatar.engine import FrameSize, VideoFrame
from services.avatar.mux import FRAMES_AHEAD, PACKET_SAMPLES, moved_segment, mux_segment
from services.avatar.segment import Segment, segment_of
from services.chassis.fmp4 import Box, BoxReader, moved, track_runs
from services.contract.errors import EngineFailed
from services.contract.speech import AudioChunk
from services.contract.video import LipSyncParams, Timeline

SIZE = FrameSize(128, 128)
QUIET_SAMPLES = 1920
PLAN = (50, 7, 33, 1, 2, 61, 26)
"""Frames of each segment."""

RATES = [Fraction(25), Fraction(24_000, 1001), Fraction(30_000, 1001), Fraction(51, 2), Fraction(60)]

Sound = npt.NDArray[np.int16]


def grey(frame: int) -> int:
    return 16 + frame * 37 % 224


def cards(segment: Segment) -> Generator[VideoFrame, None, None]:
    card = np.empty((SIZE.height, SIZE.width, 3), np.uint8)
    for frame in range(segment.first_frame, segment.first_frame + segment.frames):
        card[:] = grey(frame)
        yield card


def restless(segment: Segment) -> Generator[VideoFrame, None, None]:
    """Noise, which the encoder begins anew again and again."""
    noise = np.random.default_rng(1)
    for _ in range(segment.frames):
        yield noise.integers(0, 255, (SIZE.height, SIZE.width, 3)).astype(np.uint8)


def sound_of(samples: int, seed: int) -> Sound:
    """A chord between two stretches of silence, faded as speech is."""
    sound = np.zeros(samples)
    spoken = samples - 2 * QUIET_SAMPLES
    if spoken > 0:
        times_s = np.arange(spoken) / 48_000
        fade = np.minimum(1, np.minimum(np.arange(spoken), np.arange(spoken)[::-1]) / 480)
        chord = sum(np.sin(2 * np.pi * pitch_hz * times_s + seed) for pitch_hz in (220, 331, 1250))
        sound[QUIET_SAMPLES:-QUIET_SAMPLES] = 4_000 * fade * chord
    return sound.astype(np.int16)


def params(first_frame: int, fps: Fraction) -> LipSyncParams:
    return LipSyncParams(avatar="a", first_frame=first_frame, fps=fps, width=SIZE.width, height=SIZE.height)


def segments(fps: Fraction) -> list[Segment]:
    timeline, first, made = Timeline(fps), 0, []
    for seed, frames in enumerate(PLAN):
        sound = sound_of(timeline.samples_between(first, frames), seed)
        made.append(segment_of(AudioChunk(sound.tobytes(), 48_000), params(first, fps)))
        first += frames
    return made


def boxes_of(segment: Segment, draw: Callable[[Segment], Generator[VideoFrame, None, None]] = cards) -> list[Box]:
    reader = BoxReader()
    boxes = [box for piece in mux_segment(draw(segment), segment) for box in reader.feed(piece)]
    assert reader.at_boundary
    return boxes


def init_of(boxes: list[Box]) -> bytes:
    return b"".join(box.data for box in boxes if box.is_init)


def joined(parts: list[list[Box]]) -> bytes:
    return init_of(parts[0]) + b"".join(box.data for boxes in parts for box in boxes if not box.is_init)


def sound_track(film: bytes) -> tuple[list[int], npt.NDArray[np.float32]]:
    """Return where each packet starts, and the samples of all of them."""
    with av.open(io.BytesIO(film)) as container:
        frames = list(container.decode(audio=0))
    return [frame.pts for frame in frames if frame.pts is not None], np.concatenate([f.to_ndarray()[0] for f in frames])


@pytest.fixture(params=RATES, ids=str)
def fps(request: pytest.FixtureRequest) -> Fraction:
    rate: Fraction = request.param
    return rate


def test_joined_segments_hold_every_frame_at_its_exact_time(fps: Fraction) -> None:
    film = joined([boxes_of(segment) for segment in segments(fps)])
    with av.open(io.BytesIO(film)) as container:
        shown = [(f.pts * f.time_base, int(f.to_ndarray(format="gray").mean())) for f in container.decode(video=0)]
    assert [at for at, _ in shown] == [frame / fps for frame in range(sum(PLAN))]
    for frame, (_, seen) in enumerate(shown):
        assert abs(seen - grey(frame)) < 12, frame  # neighbours differ by 37 or more


def test_sound_packets_stand_on_one_grid_however_many_segments_there_are(fps: Fraction) -> None:
    starts, samples = sound_track(joined([boxes_of(segment) for segment in segments(fps)]))
    length = Timeline(fps).sample_at(sum(PLAN))
    assert starts == list(range(0, length, PACKET_SAMPLES))
    assert samples.size == len(starts) * PACKET_SAMPLES


def test_sound_is_where_it_was_and_joins_are_silent(fps: Fraction) -> None:
    parts = segments(fps)
    _, heard = sound_track(joined([boxes_of(segment) for segment in parts]))
    meant = np.concatenate([np.frombuffer(part.speech.pcm, "<i2") for part in parts]) / 32768
    heard = heard[: meant.size]
    lags = range(-3, 4)
    likeness = [float(np.dot(meant[100:-100], heard[100 + lag : heard.size - 100 + lag])) for lag in lags]
    assert lags[int(np.argmax(likeness))] == 0
    assert np.sqrt(np.mean((heard - meant) ** 2)) < 0.02 * np.sqrt(np.mean(meant**2))
    for part in parts[1:]:
        around = heard[part.first_sample - QUIET_SAMPLES // 2 : part.first_sample + QUIET_SAMPLES // 2]
        assert np.abs(around).max() < 1e-3


def test_segments_made_in_any_order_are_the_same_bytes() -> None:
    parts = segments(Fraction(30_000, 1001))
    forwards = [boxes_of(segment) for segment in parts]
    backwards = [boxes_of(segment) for segment in reversed(parts)][::-1]
    assert joined(forwards) == joined(backwards)


def test_init_boxes_depend_on_size_and_rate_only(fps: Fraction) -> None:
    assert len({init_of(boxes_of(segment)) for segment in segments(fps)}) == 1


def test_a_late_segment_knows_its_place() -> None:
    fps, first = Fraction(30_000, 1001), 9_000_001
    segment = segment_of(AudioChunk(sound_of(9_000, 0).tobytes(), 48_000), params(first, fps))
    film = joined([boxes_of(segment)])
    with av.open(io.BytesIO(film)) as container:
        shown = [frame.pts * frame.time_base for frame in container.decode(video=0)]
    assert shown == [(first + index) / fps for index in range(segment.frames)]
    starts, _ = sound_track(film)
    assert starts[0] % PACKET_SAMPLES == 0
    assert 0 <= starts[0] - segment.first_sample < PACKET_SAMPLES


def test_what_players_need_is_declared() -> None:
    with av.open(io.BytesIO(joined([boxes_of(segments(Fraction(25))[0])]))) as container:
        video, sound = container.streams.video[0].codec_context, container.streams.audio[0].codec_context
        first = next(container.decode(video=0))
        assert (video.name, video.pix_fmt, video.profile) == ("h264", "yuv420p", "High")
        assert (video.color_primaries, video.color_trc, video.colorspace, video.color_range) == (1, 1, 1, 1)
        assert first.key_frame
        assert (sound.name, sound.sample_rate, sound.layout.name) == ("aac", 48_000, "mono")


def test_colours_survive() -> None:
    colours = np.array([(128, 128, 128), (200, 60, 40), (40, 60, 200), (150, 180, 230), (255, 255, 255)], np.uint8)
    segment = segment_of(AudioChunk(bytes(9_600), 48_000), LipSyncParams(avatar="a", width=320, height=128))
    picture = np.repeat(colours, 64, axis=0)[None].repeat(128, axis=0)
    film = b"".join(mux_segment((picture for _ in range(segment.frames)), segment))
    with av.open(io.BytesIO(film)) as container:
        shown = next(container.decode(video=0)).to_ndarray(format="bgr24")
    assert np.abs(shown[64, 32::64].astype(int) - colours).max() <= 4


def test_keyframes_are_a_second_apart_at_most_and_nothing_is_reordered() -> None:
    segment = segments(Fraction(25))[0]
    with av.open(io.BytesIO(joined([boxes_of(segment)]))) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    keyframes = [index for index, packet in enumerate(packets) if packet.is_keyframe]
    assert keyframes[0] == 0
    assert max(np.diff([*keyframes, len(packets)])) <= 25
    assert all(packet.pts == packet.dts for packet in packets)


def test_fragments_leave_while_frames_are_still_made() -> None:
    segment = segments(Fraction(25))[0]
    drawn = 0

    def counted() -> Generator[VideoFrame, None, None]:
        nonlocal drawn
        for card in cards(segment):
            drawn += 1
            yield card

    pieces = mux_segment(counted(), segment)
    first = next(pieces)
    # A fragment is 0.2 s, and the next one's first frame ends it.
    assert drawn <= 6 + FRAMES_AHEAD + 1
    assert [box.kind for box in BoxReader().feed(first)] == ["ftyp", "moov", "moof", "mdat"]
    pieces.close()


def test_nothing_but_init_and_fragments_is_written() -> None:
    assert {box.kind for box in boxes_of(segments(Fraction(25))[0])} == {"ftyp", "moov", "moof", "mdat"}


def test_closing_stops_the_engine_and_its_thread() -> None:
    segment = segments(Fraction(25))[0]
    closed = threading.Event()

    def watched() -> Generator[VideoFrame, None, None]:
        try:
            yield from cards(segment)
        finally:
            closed.set()

    threads = threading.active_count()
    pieces = mux_segment(watched(), segment)
    next(pieces)
    pieces.close()
    assert closed.is_set()
    assert threading.active_count() == threads


@pytest.mark.parametrize("made", [0, 3, 51])
def test_an_engine_that_miscounts_is_found_out(made: int) -> None:
    segment = segments(Fraction(25))[0]
    card = np.zeros((SIZE.height, SIZE.width, 3), np.uint8)
    with pytest.raises(EngineFailed):
        list(mux_segment((card for _ in range(made)), segment))


def test_what_the_engine_raises_is_passed_on() -> None:
    segment = segments(Fraction(25))[0]

    def breaking() -> Generator[VideoFrame, None, None]:
        yield np.zeros((SIZE.height, SIZE.width, 3), np.uint8)
        raise EngineFailed("The card tore.")

    with pytest.raises(EngineFailed, match="tore"):
        list(mux_segment(breaking(), segment))


@pytest.mark.parametrize("fps", RATES)
def test_a_segment_moved_to_another_place_is_as_if_made_there(fps: Fraction) -> None:
    timeline = Timeline(fps)
    first, other = 0, next(frame for frame in range(40, 4_000) if frame * 48_000 * fps.denominator % fps.numerator == 0)
    sound = AudioChunk(sound_of(timeline.samples_between(first, 83), 1).tobytes(), 48_000)
    here, there = segment_of(sound, params(first, fps)), segment_of(sound, params(other, fps))
    assert here.phase == there.phase
    made_here = b"".join(mux_segment(restless(here), here))
    made_there = b"".join(mux_segment(restless(there), there))
    assert moved_segment(made_here, there) == made_there
    assert moved_segment(made_there, here) == made_here


@pytest.mark.parametrize(("rate", "frames"), [(25, 8), (30, 16), (50, 16), (60, 32)])
def test_boxes_put_off_by_whole_pieces_are_those_rendered_there(rate: int, frames: int) -> None:
    fps, number = Fraction(rate), 0
    there, here = (segment_of(AudioChunk(sound_of(70_000, 5).tobytes(), 48_000), params(at, fps)) for at in (0, frames))
    moved_boxes: list[bytes] = []
    for box in boxes_of(there, restless):
        if box.kind == "moof":
            number += 1
            runs = track_runs(box.data)
            assert [run.sample_ticks for run in runs][1] == PACKET_SAMPLES
            ticks = {runs[0].track: frames * runs[0].sample_ticks, runs[1].track: 48_000 * frames // rate}
            moved_boxes.append(moved(box.data, ticks, frames + number))
        else:
            moved_boxes.append(box.data)
    assert moved_boxes == [box.data for box in boxes_of(here, restless)]


@pytest.mark.parametrize("inside", [b"", b"\x00\x00\x00\x10traf" + bytes(8), b"\x00\x00\x00\x08traf"])
def test_what_is_no_fragment_is_refused(inside: bytes) -> None:
    moof = (8 + len(inside)).to_bytes(4, "big") + b"moof" + inside
    if inside:
        with pytest.raises(ValueError, match="no fragment"):
            track_runs(moof)
    else:
        assert track_runs(moof) == []
