"""Clips of a person, good and bad: a photo that sways, filmed in every way a phone or a browser films."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from imageio_ffmpeg import get_ffmpeg_exe
from skimage import data

from services.avatar.engine import Image

PHOTO = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR)[0:320, 64:384]
"""[320, 320, 3], the face in its middle."""

FACELESS = np.full_like(PHOTO, 90)


def swaying(at_s: float) -> Image:
    """Return the person at a moment: 10 pixels to the right and back in two seconds."""
    shift = np.float32([[1, 0, 10 * np.sin(np.pi * at_s)], [0, 1, 0]])
    return cv2.warpAffine(PHOTO, shift, (320, 320), borderMode=cv2.BORDER_REPLICATE).astype(np.uint8)


def film(path: Path, times_s: Iterable[float], scene: Callable[[float], Image] = swaying, scale: float = 1.0) -> Path:
    """Write a clip whose frames are shown at `times_s`."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "12", "preset": "ultrafast"})
        side = 2 * round(160 * scale)
        stream.width = stream.height = side
        stream.pix_fmt, stream.codec_context.time_base = "yuv420p", Fraction(1, 1000)
        for at_s in times_s:
            picture = cv2.resize(scene(at_s), (side, side)) if scale != 1.0 else scene(at_s)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="bgr24")
            frame.pts, frame.time_base = round(at_s * 1000), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def steady(seconds: float, fps: float = 25.0) -> list[float]:
    """Return the times of evenly shown frames."""
    return [number / fps for number in range(round(seconds * fps))]


def uneven(seconds: float) -> list[float]:
    """Return the times of frames as a phone in poor light shows them: at 30, 15 and 10 a second."""
    times, at_s = [], 0.0
    while at_s < seconds:
        times.append(at_s)
        at_s += (1 / 30, 1 / 15, 1 / 10)[len(times) % 3]
    return times


def turned(path: Path, clip: Path, degrees: int) -> Path:
    """Write the clip with the mark of a phone that was held turned: its frames lie, players put them upright."""
    command = [get_ffmpeg_exe(), "-y", "-v", "error", "-display_rotation:v:0", str(degrees), "-i", str(clip)]
    subprocess.run([*command, "-c", "copy", str(path)], check=True)
    return path


def sound_only(path: Path) -> Path:
    """Write an MP4 without pictures."""
    source = ["-f", "lavfi", "-i", "sine=frequency=200:duration=1"]
    subprocess.run([get_ffmpeg_exe(), "-y", "-v", "error", *source, str(path)], check=True)
    return path
