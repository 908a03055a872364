"""The form sound has while it is worked on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Sound = npt.NDArray[np.float32]
"""[samples] mono, full scale ±1."""

FULL_SCALE = 32767


def pcm_of(sound: Sound) -> bytes:
    """Return `sound` as 16-bit PCM; what is over full scale is clipped."""
    return np.round(np.clip(sound, -1, 1) * FULL_SCALE).astype("<i2").tobytes()


def sound_of(pcm: bytes) -> Sound:
    """Return 16-bit PCM as sound."""
    sound: Sound = np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(FULL_SCALE)
    return sound
