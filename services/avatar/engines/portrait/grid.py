"""The coarse grid on which movement is worked out; pixels get theirs by interpolation."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from services.avatar.engine import FrameSize

Field = npt.NDArray[np.float32]
"""[rows, columns, 2]: x and y, in pixels of the frame."""

_NODES_PER_HALF_MOUTH = 7.0
_SMALLEST_STEP_PX = 3


@dataclass(frozen=True)
class Patch:
    """A rectangle of grid nodes."""

    row: int
    column: int
    rows: int
    columns: int

    @property
    def nodes(self) -> tuple[slice, slice]:
        """The patch as an index of a grid array."""
        return slice(self.row, self.row + self.rows), slice(self.column, self.column + self.columns)

    def within(self, outer: Patch) -> tuple[slice, slice]:
        """Return the patch as an index of an array that covers `outer`."""
        row, column = self.row - outer.row, self.column - outer.column
        return slice(row, row + self.rows), slice(column, column + self.columns)


@dataclass(frozen=True)
class Grid:
    """Nodes every `step_px` pixels, each in the middle of its cell."""

    size: FrameSize
    step_px: int
    rows: int
    columns: int

    def positions(self, patch: Patch) -> Field:
        """Return where the nodes of `patch` are."""
        x = (np.arange(patch.column, patch.column + patch.columns) + 0.5) * self.step_px - 0.5
        y = (np.arange(patch.row, patch.row + patch.rows) + 0.5) * self.step_px - 0.5
        return np.stack(np.meshgrid(x, y), -1).astype(np.float32)

    @property
    def whole(self) -> Patch:
        """All nodes."""
        return Patch(0, 0, self.rows, self.columns)

    def pixels(self, patch: Patch) -> tuple[slice, slice]:
        """Return the pixels that `patch` covers, as an index of the frame."""
        step = self.step_px
        rows = slice(patch.row * step, min((patch.row + patch.rows) * step, self.size.height))
        columns = slice(patch.column * step, min((patch.column + patch.columns) * step, self.size.width))
        return rows, columns

    def to_pixels(self, field: Field, patch: Patch) -> Field:
        """Return `field`, given at the nodes of `patch`, at every pixel that the patch covers."""
        rows, columns = self.pixels(patch)
        size = patch.columns * self.step_px, patch.rows * self.step_px
        fine = cv2.resize(field, size, interpolation=cv2.INTER_LINEAR)
        return fine[: rows.stop - rows.start, : columns.stop - columns.start]  # type: ignore[return-value]

    def sample(self, values: npt.NDArray[np.float32], patch: Patch, at: Field) -> npt.NDArray[np.float32]:
        """Return `values`, given at the nodes of `patch`, at the frame positions `at`."""
        scale, offset = 1 / self.step_px, (0.5 - 0.5 * self.step_px) / self.step_px
        x = at[..., 0] * scale + (offset - patch.column)
        y = at[..., 1] * scale + (offset - patch.row)
        return cv2.remap(values, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[return-value]


def grid_for(size: FrameSize, half_mouth_px: float) -> Grid:
    """Return a grid fine enough for a mouth of this size."""
    step_px = max(_SMALLEST_STEP_PX, round(half_mouth_px / _NODES_PER_HALF_MOUTH))
    return Grid(size, step_px, -(-size.height // step_px), -(-size.width // step_px))


def patch_around(mask: npt.NDArray[np.bool_]) -> Patch:
    """Return the smallest patch that holds every true node of `mask` [rows, columns]."""
    rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    return Patch(int(rows[0]), int(columns[0]), int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1)
