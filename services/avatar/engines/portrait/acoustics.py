"""The mouth that the sound alone suggests, for voices that come without phoneme marks."""

from __future__ import annotations

import numpy as np

from services.avatar.engines.portrait.articulation import Articulation, silence
from services.avatar.engines.portrait.expression import MOUTH_SHAPES
from services.avatar.engines.portrait.instants import Floats, Instants, smoothstep
from services.contract.speech import AudioChunk

_WINDOW_S = 0.025


def level_db(speech: AudioChunk, instants: Instants) -> Floats:
    """Return the loudness [steps] of `speech` around each step, in dB of full scale."""
    pcm = np.frombuffer(speech.pcm, "<i2").astype(np.float64) / 32768
    energy = np.concatenate([[0.0], np.cumsum(pcm * pcm)])
    half = round(_WINDOW_S * speech.sample_rate_hz / 2)
    centre = instants.samples()
    start, end = (np.clip(centre + side, 0, speech.samples) for side in (-half, half))
    level: Floats = 10 * np.log10((energy[end] - energy[start]) / (2 * half) + 1e-9)
    return level


def listen(speech: AudioChunk, instants: Instants) -> Articulation:
    """Return the mouth that says `speech`, from its sound alone."""
    result = silence(instants)
    loud = smoothstep((level_db(speech, instants) + 45) / 30)
    result.presence[:] = loud > 0.1
    result.weights[:, MOUTH_SHAPES.index("jaw")] = 0.5 * loud
    result.weights[:, MOUTH_SHAPES.index("low")] = 0.3 * loud
    return result
