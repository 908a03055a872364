"""Thin-plate splines: the smoothest field through scattered values (Duchon 1977)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from services.avatar.engines.portrait.geometry import Points

_BATCH = 20_000


def thin_plate(
    sources: Points, values: npt.NDArray[np.float64], queries: Points, *, smoothness: float
) -> npt.NDArray[np.float64]:
    """Return the field with `values` [n, c] at `sources` [n, 2], read at `queries` [m, 2], as [m, c].

    Coordinates should be of the order of 1; a `smoothness` above 0 lets the field miss its values a little.
    """
    count = len(sources)
    affine = np.column_stack([np.ones(count), sources])
    system = np.zeros((count + 3, count + 3))
    system[:count, :count] = _kernel(sources, sources) + smoothness * np.eye(count)
    system[:count, count:] = affine
    system[count:, :count] = affine.T
    weights = np.linalg.solve(system, np.vstack([values, np.zeros((3, values.shape[1]))]))
    field = np.empty((len(queries), values.shape[1]))
    for start in range(0, len(queries), _BATCH):
        batch = queries[start : start + _BATCH]
        field[start : start + _BATCH] = (
            _kernel(batch, sources) @ weights[:count] + weights[count] + batch @ weights[count + 1 :]
        )
    return field


def _kernel(a: Points, b: Points) -> npt.NDArray[np.float64]:
    squared = ((a[:, None] - b[None]) ** 2).sum(-1)
    kernel: npt.NDArray[np.float64] = 0.5 * squared * np.log(squared + 1e-12)
    return kernel
