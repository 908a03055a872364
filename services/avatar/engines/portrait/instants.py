"""The instants at which a performance looks at the speech, exact on the film's own timeline."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from services.contract.video import Timeline

Floats = npt.NDArray[np.float64]

STEP_HZ = 100
"""About how many times a second the mouth is worked out; each frame then takes the mean of its steps."""


@dataclass(frozen=True)
class Instants:
    """A whole number of evenly spaced steps per frame, counted from the start of the film.

    Steps follow from the frame number, never from where a segment starts: a film rendered in one
    go and the same film rendered in segments look at the very same samples.
    """

    fps: Fraction
    sample_rate_hz: int
    first_frame: int
    frames: int

    @property
    def steps_per_frame(self) -> int:
        """Steps in each frame, about STEP_HZ of them a second."""
        return round(STEP_HZ / self.fps)

    @property
    def step_s(self) -> float:
        """Time between two steps."""
        return float(1 / (self.fps * self.steps_per_frame))

    def samples(self) -> npt.NDArray[np.int64]:
        """Return, for each step, the sample at its middle, counted from the first frame's first sample."""
        start = Timeline(self.fps, self.sample_rate_hz).sample_at(self.first_frame)
        steps = np.arange(self.frames * self.steps_per_frame) + self.first_frame * self.steps_per_frame
        half_samples = (2 * steps + 1) * (self.sample_rate_hz * self.fps.denominator)
        return half_samples // (2 * self.fps.numerator * self.steps_per_frame) - start

    def times_s(self) -> Floats:
        """Return the middle of each step, in seconds from the first frame's first sample."""
        return self.samples() / self.sample_rate_hz

    def film_times_s(self) -> Floats:
        """Return the middle of each frame, in seconds from the start of the film."""
        middles = np.arange(self.frames, dtype=np.float64) + (self.first_frame + 0.5)
        times_s: Floats = middles / float(self.fps)
        return times_s

    def by_frame(self, track: Floats) -> Floats:
        """Return `track` [steps, ...] with its steps gathered by frame: [frames, steps per frame, ...]."""
        return track.reshape(self.frames, self.steps_per_frame, *track.shape[1:])
