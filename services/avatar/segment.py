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
from services.contract.speech import SAMPLE_BYTES, AudioChunk
from services.contract.video import FILM_SAMPLE_RATE_HZ, Timeline

Samples = npt.NDArray[np.int16]
"""[samples] mono."""


@dataclass(frozen=True)
class Segment:
    """`speech` at 48 kHz that fills whole frames, from `first_frame` of the film on."""

    speech: AudioChunk
    first_frame: int
    fps: Fraction
    size: FrameSize
    frame_skip: int = 1

    @property
    def timeline(self) -> Timeline:
        """The film's timeline."""
        return Timeline(self.fps)

    @property
    def frames(self) -> int:
        """Number of frames in the segment."""
        return self.timeline.frames_to_hold(self.first_frame, self.speech.samples)

    @property
    def first_sample(self) -> int:
        """Place of the first sample in the film."""
        return self.timeline.sample_at(self.first_frame)


def segment_of(speech: AudioChunk, first_frame: int, fps: Fraction, size: FrameSize, frame_skip: int = 1) -> Segment:
    """Return the segment that says `speech`, brought to 48 kHz and filled up with silence to whole frames.

    Raises `InvalidRequest` when there is no sound in it or a mark has no time.
    """
    if not all(math.isfinite(mark.start_s) and math.isfinite(mark.end_s) for mark in speech.marks):
        raise InvalidRequest("Every mark needs a finite start_s and end_s.")
    pcm = _at_film_rate(speech)
    if not pcm:
        raise InvalidRequest("There is no sound in the body; send at least one sample of PCM.")
    timeline = Timeline(fps)
    samples = len(pcm) // SAMPLE_BYTES
    frames = timeline.frames_to_hold(first_frame, samples)
    if silence := timeline.samples_between(first_frame, frames) - samples:
        pcm += bytes(SAMPLE_BYTES * silence)
    speech = replace(speech, pcm=pcm, sample_rate_hz=FILM_SAMPLE_RATE_HZ)
    return Segment(speech, first_frame, fps, size, frame_skip)


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
