"""What the tests look for in a film."""

from __future__ import annotations

import io
from dataclasses import dataclass

import av
import numpy as np
import numpy.typing as npt

from services.chassis.fmp4 import Box, BoxReader


@dataclass(frozen=True)
class Film:
    """A decoded film."""

    codecs: tuple[str, ...]
    pixel_format: str
    size: tuple[int, int]
    times_s: list[float]
    frames: list[npt.NDArray[np.uint8]]
    sound_s: float
    video_s: float


def decode(data: bytes) -> Film:
    """Return the film with its frames small and grey, which is enough to compare them."""
    with av.open(io.BytesIO(data)) as film:
        video, sound = film.streams.video[0], film.streams.audio[0]
        pictures = list(film.decode(video=0))
        codecs = video.codec_context.name, sound.codec_context.name
        step_s = float(1 / video.average_rate)
        size, pixel_format = (video.width, video.height), video.codec_context.pix_fmt
    with av.open(io.BytesIO(data)) as film:
        heard = [(frame.time, frame.samples / frame.sample_rate) for frame in film.decode(audio=0)]
    times_s = [picture.time for picture in pictures]
    return Film(
        codecs=codecs,
        pixel_format=pixel_format,
        size=size,
        times_s=times_s,
        frames=[picture.to_ndarray(format="gray")[::4, ::4] for picture in pictures],
        sound_s=heard[-1][0] + heard[-1][1] - heard[0][0],
        video_s=times_s[-1] + step_s - times_s[0],
    )


def boxes(data: bytes) -> list[Box]:
    """Return the top-level boxes of a film."""
    return BoxReader().feed(data)


def loudness_lufs(data: bytes) -> float:
    """Return the integrated loudness of a film's sound, after EBU R 128."""
    graph = av.filter.Graph()
    with av.open(io.BytesIO(data)) as film:
        source = graph.add_abuffer(template=film.streams.audio[0])
        meter, sink = graph.add("ebur128", "metadata=1"), graph.add("abuffersink")
        source.link_to(meter)
        meter.link_to(sink)
        graph.configure()
        measured = "nan"
        for frame in film.decode(audio=0):
            graph.push(frame)
            while True:
                try:
                    metered = graph.pull()
                except (av.BlockingIOError, av.EOFError):
                    break
                measured = metered.metadata.get("lavfi.r128.I", measured)
    return float(measured)
