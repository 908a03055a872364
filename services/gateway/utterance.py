"""Lays one spoken sentence on the film's timeline: silence around it, soft edges, whole frames."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from services.contract.speech import AudioChunk
from services.contract.video import Timeline
from services.gateway.sentences import Pause

PAUSE_S = {Pause.CLAUSE: 0.1, Pause.SENTENCE: 0.24, Pause.PARAGRAPH: 0.5}
"""Silence after a sentence, before it is rounded up to whole frames."""

FIRST_LEAD_S = 0.24
"""Silence before the first sentence: the film begins with a closed mouth."""

LEAD_S = 0.1
"""Silence before every other sentence: sound joins without a trace from 40 ms on, a face from 100 ms."""

LAST_PAUSE_S = 0.4
_FADE_S = 0.005

Samples = npt.NDArray[np.int16]


def lay_out(speech: AudioChunk, timeline: Timeline, first_frame: int, lead_s: float, pause_s: float) -> AudioChunk:
    """Return `speech` with `lead_s` before and at least `pause_s` after it, filling whole frames.

    The speech must have the timeline's sample rate; its marks move with it.
    """
    lead = round(lead_s * timeline.sample_rate_hz)
    spoken = soften(np.frombuffer(speech.pcm, "<i2"), timeline.sample_rate_hz)
    needed = lead + spoken.size + round(pause_s * timeline.sample_rate_hz)
    frames = timeline.frames_to_hold(first_frame, needed)
    laid = np.zeros(timeline.samples_between(first_frame, frames), "<i2")
    laid[lead : lead + spoken.size] = spoken
    marks = tuple(mark.shifted(lead / timeline.sample_rate_hz) for mark in speech.marks)
    return AudioChunk(laid.tobytes(), timeline.sample_rate_hz, marks)


def soften(samples: Samples, sample_rate_hz: int) -> Samples:
    """Return `samples` with a short fade at either end, so that a join with silence does not click."""
    length = min(round(_FADE_S * sample_rate_hz), samples.size // 2)
    softened = samples.astype(np.float32)
    ramp = np.linspace(0, 1, length, dtype=np.float32)
    softened[:length] *= ramp
    softened[samples.size - length :] *= ramp[::-1]
    return softened.astype(np.int16)
