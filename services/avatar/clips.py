"""Films of a person: checked before much is decoded, and read as upright frames at one rate.

A phone's film has frames at uneven times and lies on its side; `read_frames` gives what a viewer
sees, `MOTION_FPS` times a second, one frame after the other: no more than two are ever held.
"""

from __future__ import annotations

import io
import itertools
import math
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from services.avatar.engine import MOTION_FPS, Image
from services.avatar.images import LONGEST_SIDE_PX, SHORTEST_SIDE_PX
from services.contract.errors import InvalidRequest, TooLarge, UnsupportedMedia

_HEAD_BYTES = 16
_FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
_PHOTO_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis")
"""Of pictures in the same container."""
_MATROSKA = b"\x1a\x45\xdf\xa3"
_MOST_PIXELS = 2**31 - 1
_FORMATS = frozenset({"mov", "mp4", "matroska", "webm", "avi"})
Clip = Path | bytes
"""A film on disk, or all of its bytes."""


@dataclass(frozen=True)
class ClipLimits:
    """What is refused before it is decoded."""

    most_pixels: int
    longest_s: float


@dataclass(frozen=True)
class _Shown:
    """A decoded frame and when it is shown, in seconds from the first one."""

    frame: av.VideoFrame
    at_s: Fraction


NO_LIMITS = ClipLimits(sys.maxsize, math.inf)
"""For clips that were checked when they came."""


@dataclass(frozen=True)
class ClipInfo:
    """Size of the frames that `read_frames` gives, and about how many there are."""

    width: int
    height: int
    frames: int


def is_clip(source: Clip) -> bool:
    """Return whether its first bytes are those of a film, whole or broken."""
    if isinstance(source, Path):
        with source.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    else:
        head = source[:_HEAD_BYTES]
    if head[8:12] in _PHOTO_BRANDS:
        return False
    return head[4:8] in _FIRST_BOXES or head.startswith(_MATROSKA) or (head[:4], head[8:12]) == (b"RIFF", b"AVI ")


def clip_info(clip: Clip, limits: ClipLimits) -> ClipInfo:
    """Return what is known of a clip from its headers and first frame. Raises what `read_frames` raises."""
    with _opened(clip, limits) as (container, stream):
        first = next(_timed(container, stream), None)
        if first is None:
            raise _no_pictures()
        height, width = upright(first.frame).shape[:2]
        return ClipInfo(width, height, round((container.duration or 0) / av.time_base * MOTION_FPS))


def read_frames(clip: Clip, limits: ClipLimits = NO_LIMITS) -> Generator[Image, None, None]:
    """Yield the clip's frames, upright, BGR, their longest side 2048 px at most; a frame may be yielded twice.

    Each moment gets the frame nearest in time, so that uneven and other rates keep their length.
    Raises `UnsupportedMedia` when it is no film, `TooLarge` when it has too many pixels or lasts too
    long, `InvalidRequest` when there is only sound in it, only one picture, or it is damaged.
    """
    with _opened(clip, limits) as (container, stream):
        frames = _timed(container, stream)
        shown = next(frames, None)
        if shown is None:
            raise _no_pictures()
        number, several = 0, False
        for following in frames:
            yield from _held(shown, (shown.at_s + following.at_s) / 2, number, limits)
            number = max(number, _frames_until((shown.at_s + following.at_s) / 2))
            shown, several = following, True
        if not several:
            raise InvalidRequest("There is a single picture in the clip; send it as a picture.", param="picture")
        yield from _held(shown, shown.at_s + 1 / (2 * _rate(stream)), number, limits)


def _held(shown: _Shown, until_s: Fraction, number: int, limits: ClipLimits) -> Iterator[Image]:
    """Yield the frame once for every moment from `number` on that is its own."""
    times = _frames_until(until_s) - number
    if number + times > limits.longest_s * MOTION_FPS:
        raise _too_long(limits)
    if times > 0:
        yield from itertools.repeat(upright(shown.frame), times)


def _frames_until(time_s: Fraction) -> int:
    """Return how many moments lie before `time_s`."""
    return math.ceil(time_s * MOTION_FPS)


def upright(frame: av.VideoFrame) -> Image:
    """Return a decoded frame as it is meant to be seen, its longest side 2048 px at most."""
    picture = np.rot90(frame.to_ndarray(format="bgr24"), round(frame.rotation / 90))
    height, width = picture.shape[:2]
    scale = min(1.0, LONGEST_SIDE_PX / max(width, height))
    if scale == 1.0:
        return np.ascontiguousarray(picture, np.uint8)
    size = round(width * scale), round(height * scale)
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


@contextmanager
def _opened(clip: Clip, limits: ClipLimits) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Give the film with only its headers read; what breaks while it is read is told as an error of ours."""
    try:
        container = av.open(str(clip) if isinstance(clip, Path) else io.BytesIO(clip), "r")
    except (av.FFmpegError, ValueError) as error:
        raise UnsupportedMedia(
            "This is no film we can read, or it was cut short; send an MP4, MOV or WebM file, whole."
        ) from error
    with container:
        yield container, _checked(container, limits)


def _checked(container: InputContainer, limits: ClipLimits) -> VideoStream:
    if not _FORMATS & set(container.format.name.split(",")):
        raise UnsupportedMedia(f"Films in the format {container.format.name} are not taken; send MP4, MOV or WebM.")
    if not container.streams.video:
        raise InvalidRequest("There is only sound in the clip; send a film of the person.", param="picture")
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    stream.codec_context.options = {"max_pixels": str(min(limits.most_pixels, _MOST_PIXELS))}
    width, height = stream.width, stream.height
    if width * height > limits.most_pixels:
        raise TooLarge(
            f"The clip has frames of {width}x{height} pixels, more than {limits.most_pixels // 10**6} megapixels; "
            "send a smaller one."
        )
    if min(width, height) < SHORTEST_SIDE_PX:
        raise InvalidRequest(f"The clip is only {width}x{height} pixels; send one of 256x256 or more.")
    if container.duration and container.duration / av.time_base > limits.longest_s + 1:
        raise _too_long(limits)
    return stream


def _timed(container: InputContainer, stream: VideoStream) -> Iterator[_Shown]:
    """Yield the decoded frames, each later than the one before."""
    rate = _rate(stream)
    first: Fraction | None = None
    last = Fraction(-1)
    try:
        for number, frame in enumerate(container.decode(stream)):
            # Frames carry a size of their own, which need not be the one the file announces.
            if (frame.width, frame.height) != (stream.width, stream.height):
                raise InvalidRequest("The clip's frames differ in size; send one of one size.", param="picture")
            known = frame.pts is not None and frame.time_base is not None
            at = frame.pts * Fraction(frame.time_base) if known else number / rate  # type: ignore[operator,arg-type]
            first = at if first is None else first
            if at - first > last:
                last = at - first
                yield _Shown(frame, last)
    except av.FFmpegError as error:
        raise InvalidRequest("The clip is damaged or was cut short; send it again, whole.", param="picture") from error


def _rate(stream: VideoStream) -> Fraction:
    return Fraction(stream.average_rate or MOTION_FPS)


def _too_long(limits: ClipLimits) -> TooLarge:
    return TooLarge(
        f"The clip lasts longer than {limits.longest_s:g} s; a shorter one is played forward and back as well."
    )


def _no_pictures() -> InvalidRequest:
    return InvalidRequest("There are no pictures in the clip that can be decoded.", param="picture")
