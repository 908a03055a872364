"""One segment of a film: its sound, and the place it knows it has."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import soxr

from services.avatar.engine import FrameSize
from services.contract.errors import InvalidRequest
from services.contract.motion import MotionPath
from services.contract.speech import SAMPLE_BYTES, AudioChunk
from services.contract.video import FILM_SAMPLE_RATE_HZ, LipSyncParams, Timeline

Samples = npt.NDArray[np.int16]
"""[samples] mono."""


@dataclass(frozen=True)
class Segment:
    """`speech` at 48 kHz that fills whole frames, from `first_frame` of the film on."""

    speech: AudioChunk
    first_frame: int
    fps: Fraction
    size: FrameSize
    motion: MotionPath
    frame_skip: int = 1
    background: str = ""
    lasting: bool = True

    @property
    def timeline(self) -> Timeline:
        """The film's timeline."""
        return Timeline(self.fps)

    @property
    def frames(self) -> int:
        """Number of frames in the segment."""
        return self.timeline.frames_to_hold(self.first_frame, self.speech.samples)

    @property
    def phase(self) -> int:
        """What of its place is heard and seen in it: frames of 29.97 a second hold now 1601 samples, now 1602."""
        return self.first_frame * FILM_SAMPLE_RATE_HZ * self.fps.denominator % self.fps.numerator

    @property
    def first_sample(self) -> int:
        """Place of the first sample in the film."""
        return self.timeline.sample_at(self.first_frame)


def segment_of(speech: AudioChunk, params: LipSyncParams) -> Segment:
    """Return the segment that says `speech`, brought to 48 kHz and filled up with silence to whole frames.

    Raises `InvalidRequest` when there is no sound in it, a mark has no time, or its motion leads too far.
    """
    if not all(math.isfinite(mark.start_s) and math.isfinite(mark.end_s) for mark in speech.marks):
        raise InvalidRequest("Every mark needs a finite start_s and end_s.")
    pcm = _at_film_rate(speech)
    if not pcm:
        raise InvalidRequest("There is no sound in the body; send at least one sample of PCM.")
    timeline, first_frame = Timeline(params.fps), params.first_frame
    samples = len(pcm) // SAMPLE_BYTES
    frames = timeline.frames_to_hold(first_frame, samples)
    if silence := timeline.samples_between(first_frame, frames) - samples:
        pcm += bytes(SAMPLE_BYTES * silence)
    start = first_frame if params.motion_frame is None else params.motion_frame
    end = start + frames if params.motion_end is None else params.motion_end
    return Segment(
        speech=replace(speech, pcm=pcm, sample_rate_hz=FILM_SAMPLE_RATE_HZ),
        first_frame=first_frame,
        fps=params.fps,
        size=FrameSize(params.width, params.height),
        motion=MotionPath(start, end, frames),
        frame_skip=params.frame_skip,
        background=params.background,
        lasting=params.lasting,
    )


def samples_of(speech: AudioChunk) -> Samples:
    """Return the samples of `speech`.

    Raises `InvalidRequest` when half a sample is left over.
    """
    if len(speech.pcm) % SAMPLE_BYTES:
        raise InvalidRequest("The PCM was cut short: its length is odd, but every sample takes two bytes.")
    return np.frombuffer(speech.pcm, "<i2").astype(np.int16, copy=False)


def _at_film_rate(speech: AudioChunk) -> bytes:
    samples = samples_of(speech)
    if speech.sample_rate_hz == FILM_SAMPLE_RATE_HZ:
        return speech.pcm
    resampled: Samples = soxr.resample(samples, speech.sample_rate_hz, FILM_SAMPLE_RATE_HZ)
    return resampled.astype("<i2", copy=False).tobytes()
