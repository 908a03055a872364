"""How things begin and end: never at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def smoothstep(x: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return 0 below 0, 1 above 1, and between them an S-curve that is level at both ends."""
    clipped = np.clip(x, 0.0, 1.0)
    rise: npt.NDArray[np.float64] = clipped * clipped * (3 - 2 * clipped)
    return rise
