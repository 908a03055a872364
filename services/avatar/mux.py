"""Frames and sound in, one segment of fragmented MP4 out, as it is made.

A segment is muxed knowing nothing but its own place, and still joins its neighbours exactly:

- Video timestamps are frame numbers of the film.
- AAC packets stand on one grid for the whole film: packet k holds samples [1024 k, 1024 (k + 1)), and
  belongs to the segment in which it starts. So the packets of joined segments follow each other
  without gap, overlap or drift. A segment starts and ends in silence, so what the grid moves from
  its start into the packet of its neighbour is silence too.
- Init boxes depend on size and frame rate alone, so every segment but the first can drop its own.
"""

from __future__ import annotations

import io
from collections.abc import Generator, Iterator
from contextlib import closing
from fractions import Fraction

import av
import numpy as np
from av.audio.stream import AudioStream
from av.packet import Packet
from av.video.reformatter import Colorspace, VideoReformatter
from av.video.stream import VideoStream

from services.avatar.ahead import run_ahead
from services.avatar.engine import VideoFrame
from services.avatar.segment import Segment, samples_of
from services.chassis.fmp4 import BoxReader
from services.chassis.sink import Sink
from services.contract.errors import EngineFailed
from services.contract.video import FILM_SAMPLE_RATE_HZ

PACKET_SAMPLES = 1024
"""Samples in an AAC packet."""

FRAGMENT_US = 200_000
"""Length of a fragment: short enough that the first one leaves after a handful of frames."""

FRAMES_AHEAD = 8
"""How far the engine may run ahead of the encoder."""

# libswscale's bilinear, full chroma input and accurate rounding: without the latter two greys turn yellowish.
_SCALER_FLAGS = 0x2 | 0x4000 | 0x40000

_BT709 = 1
_LIMITED_RANGE = 1

_MUXER_OPTIONS = {
    "movflags": "empty_moov+default_base_moof+frag_keyframe+frag_discont+skip_trailer",
    "frag_duration": str(FRAGMENT_US),
    "avoid_negative_ts": "disabled",
    "use_editlist": "0",
    "fflags": "+bitexact",
}

# Zero latency costs a sixth more bytes than look-ahead and gives every frame back at once.
_VIDEO_OPTIONS = {"preset": "veryfast", "tune": "zerolatency", "crf": "20", "threads": "1", "bf": "0"}
_LENGTH_BYTES, _NAL_TYPE, _NAL_IDR = 4, 0x1F, 5
"""How H.264 lies in MP4: units after their length, each with its type in the first byte."""

_AUDIO_OPTIONS = {"b": "128k"}


def mux_segment(frames: Generator[VideoFrame, None, None], segment: Segment) -> Generator[bytes, None, None]:
    """Yield the init boxes with the first fragment, then fragment by fragment, as `frames` are made.

    The engine works in a thread of its own, so that rendering and encoding overlap.
    Raises `EngineFailed` when the engine made too few or too many frames.
    """
    pictures = run_ahead(_pictures(frames), FRAMES_AHEAD)
    with closing(pictures), closing(_SegmentWriter(segment)) as writer:
        lead = writer.take()
        for _ in range(segment.frames):
            picture = next(pictures, None)
            if picture is None:
                raise EngineFailed("The engine stopped before the speech was over; try again.")
            writer.write(picture)
            if fragments := writer.take():
                yield lead + fragments
                lead = b""
        if next(pictures, None) is not None:
            raise EngineFailed("The engine went on after the speech was over; try again.")
        writer.finish()
        yield lead + writer.take()


def moved_segment(film: bytes, segment: Segment) -> bytes:
    """Return a `film` of one segment in the place of `segment`, whose pictures are the same. Blocking.

    The pictures are copied; the sound is encoded for its new place on the grid. The init boxes are the film's
    own: for copied pictures the muxer would add how large they were on average.
    """
    with av.open(io.BytesIO(film)) as source:
        pictures = source.streams.video[0]
        with closing(_SegmentWriter(segment, pictures)) as writer:
            for packet in source.demux(pictures):
                if packet.dts is not None:
                    writer.copy(packet)
            writer.finish()
            moved = BoxReader().feed(writer.take())
    init = [box for box in BoxReader().feed(film) if box.is_init]
    return b"".join(box.data for box in [*init, *(box for box in moved if not box.is_init)])


def _pictures(frames: Generator[VideoFrame, None, None]) -> Generator[av.VideoFrame, None, None]:
    """Yield the frames as the encoder wants them, in memory of their own: the engine reuses its for the next one."""
    reformatter = VideoReformatter()
    with closing(frames):
        for frame in frames:
            view = av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(frame), format="bgr24")
            yield reformatter.reformat(
                view, format="yuv420p", dst_colorspace=Colorspace.ITU709, interpolation=_SCALER_FLAGS, threads=1
            )


class _SegmentWriter:
    """Encodes and muxes one segment, frame by frame."""

    def __init__(self, segment: Segment, template: VideoStream | None = None) -> None:
        """With a `template`, pictures are copied from its stream and not encoded."""
        self._segment = segment
        self._copying = template is not None
        self._next_frame = segment.first_frame
        self._sound_frames = _grid_frames(segment)
        self._sound_until = segment.first_sample
        self._sink = Sink()
        # Fragments are numbered upwards through the film; a segment never has more of them than frames.
        options = {**_MUXER_OPTIONS, "fragment_index": str(segment.first_frame + 1)}
        self._container = av.open(self._sink, "w", format="mp4", options=options)
        self._video = self._add_video() if template is None else self._container.add_stream_from_template(template)
        self._sound = self._add_sound()
        self._container.start_encoding()

    def write(self, picture: av.VideoFrame) -> None:
        """Add the next frame, and the sound heard until it ends."""
        picture.pts = self._next_frame
        picture.time_base = 1 / self._segment.fps
        self._go_on()
        self._container.mux(self._video.encode(picture))

    def copy(self, packet: Packet[VideoStream]) -> None:
        """Add the next frame, encoded already, and the sound heard until it ends."""
        packet.time_base = 1 / self._segment.fps
        packet.pts = packet.dts = self._next_frame
        packet.duration = 0  # as the encoder leaves it: the muxer cuts fragments by what it knows of their length
        packet.is_keyframe = _is_idr(bytes(packet))
        packet.stream = self._video
        self._go_on()
        self._container.mux(packet)

    def finish(self) -> None:
        """Write what the encoders still hold."""
        if not self._copying:
            self._container.mux(self._video.encode(None))
        self._mux_sound(self._sound.encode(None))
        self._container.close()

    def take(self) -> bytes:
        """Return what was written since the last call."""
        return self._sink.take()

    def close(self) -> None:
        """Let go of the encoders."""
        self._container.close()

    def _go_on(self) -> None:
        self._next_frame += 1
        self._write_sound(self._segment.timeline.sample_at(self._next_frame))

    def _write_sound(self, until_sample: int) -> None:
        while self._sound_until < until_sample and (piece := next(self._sound_frames, None)) is not None:
            start, frame = piece
            self._sound_until = start + PACKET_SAMPLES
            self._mux_sound(self._sound.encode(frame))

    def _mux_sound(self, packets: list[Packet[AudioStream]]) -> None:
        # The encoder's first packet only primes its overlap; it lies before the segment.
        self._container.mux([p for p in packets if p.pts is not None and p.pts >= self._segment.first_sample])

    def _add_video(self) -> VideoStream:
        fps, size = self._segment.fps, self._segment.size
        keyframe_every = {"g": str(int(fps))}
        stream = self._container.add_stream("libx264", rate=fps, options=_VIDEO_OPTIONS | keyframe_every)
        stream.width, stream.height, stream.pix_fmt = size.width, size.height, "yuv420p"
        context = stream.codec_context
        context.time_base = 1 / fps
        context.color_primaries = context.color_trc = context.colorspace = _BT709
        context.color_range = _LIMITED_RANGE
        return stream

    def _add_sound(self) -> AudioStream:
        stream = self._container.add_stream("aac", rate=FILM_SAMPLE_RATE_HZ, options=_AUDIO_OPTIONS)
        stream.codec_context.layout = "mono"
        stream.codec_context.time_base = Fraction(1, FILM_SAMPLE_RATE_HZ)
        return stream


def _is_idr(picture: bytes) -> bool:
    """Whether decoding can begin with this picture. Demuxers take other I frames for such ones, too."""
    at = 0
    while at + _LENGTH_BYTES < len(picture):
        if picture[at + _LENGTH_BYTES] & _NAL_TYPE == _NAL_IDR:
            return True
        at += _LENGTH_BYTES + int.from_bytes(picture[at : at + _LENGTH_BYTES], "big")
    return False


def _grid_frames(segment: Segment) -> Iterator[tuple[int, av.AudioFrame]]:
    """Yield the packets that start in `segment`: their first sample in the film, and their sound.

    The last one is filled up with silence.
    """
    samples = samples_of(segment.speech)
    first_packet = -(-segment.first_sample // PACKET_SAMPLES)
    start = first_packet * PACKET_SAMPLES - segment.first_sample
    for at in range(start, samples.size, PACKET_SAMPLES):
        packet = np.zeros((1, PACKET_SAMPLES), np.float32)
        piece = samples[at : at + PACKET_SAMPLES]
        packet[0, : piece.size] = piece / np.float32(32768)
        frame = av.AudioFrame.from_ndarray(packet, format="fltp", layout="mono")
        frame.sample_rate = FILM_SAMPLE_RATE_HZ
        frame.time_base = Fraction(1, FILM_SAMPLE_RATE_HZ)
        frame.pts = segment.first_sample + at
        yield frame.pts, frame
