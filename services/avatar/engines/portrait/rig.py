"""Everything worked out once per avatar and frame size, so that a frame is a few sums and look-ups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from services.avatar.engine import AvatarSource, FrameSize, Image
from services.avatar.engines.framing import frame_portrait
from services.avatar.engines.portrait.eyes import Eye, eyes_of
from services.avatar.engines.portrait.geometry import Face, Points, face_of
from services.avatar.engines.portrait.grid import Field, Grid, Patch, grid_for, patch_around
from services.avatar.engines.portrait.head import ever_moving, pose_fields
from services.avatar.engines.portrait.interior import Interior, interior_of
from services.avatar.engines.portrait.lips import LipLine, LipSheets, lip_line, lip_sheets, sides
from services.avatar.engines.portrait.shapes import BASIS, fade, sheet_basis

_BOX_LEFT, _BOX_TOP, _BOX_RIGHT, _BOX_BOTTOM = -1.45, -0.75, 1.45, 1.35
"""The box around the mouth in which the lips part, in mouth coordinates."""

_SHEET_MARGIN = 0.9
_BOX_FEATHER = 0.12
_SIDES_FEATHER = 0.30

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Sheet:
    """One side of the mouth: how the face moves with it."""

    fields: Array
    """[len(BASIS), nodes · 2] in pixels, on the nodes of `Rig.face_patch`."""
    lip: Points
    """[len(BASIS), 11, 2]: the lip's inner edge, in mouth coordinates."""


@dataclass(frozen=True)
class MouthBox:
    """The box around the mouth."""

    rows: slice
    columns: slice
    places: Field
    """[h, w, 2]: the box's pixels, as positions in the frame."""
    blend: Array
    """[h, w, 1]: 1 inside, fading out at the border."""


@dataclass(frozen=True)
class Rig:
    """An avatar ready to be painted in one frame size. Immutable, and shared by all who paint it."""

    size: FrameSize
    digest: str
    picture: Image
    face: Face
    grid: Grid
    patch: Patch
    """The nodes that ever move."""
    nodes: Field
    """Their places."""
    pose: Array
    """[7, nodes · 2]: see `head.pose_fields`."""
    face_patch: Patch
    """The nodes that the mouth moves."""
    upper: Sheet
    lower: Sheet
    lower_share: Array
    """[rows, columns] of `face_patch`: how much of a place goes with the lower lip."""
    line: LipLine
    lips: LipSheets
    box: MouthBox
    interior: Interior
    eyes: tuple[Eye, ...]


def build_rig(source: AvatarSource, size: FrameSize) -> Rig:
    """Work out everything that frames of `source` in `size` have in common."""
    framed = frame_portrait(source, size)
    face = face_of(framed.landmarks)
    line = lip_line(face)
    grid = grid_for(size, face.half_mouth_px)
    everywhere = grid.positions(grid.whole)
    in_mouth = face.to_mouth(everywhere.astype(np.float64))
    face_patch = patch_around(fade(face, in_mouth.reshape(-1, 2)).reshape(in_mouth.shape[:2]) > 0)
    pose = pose_fields(face, everywhere)
    moving = ever_moving(pose, face.eye_distance_px)
    moving[face_patch.nodes] = True
    patch = patch_around(moving)
    near_mouth = in_mouth[face_patch.nodes]
    box = _mouth_box(face, size)
    margin = int(_SHEET_MARGIN * face.half_mouth_px)
    left, top = max(box.columns.start - margin, 0), max(box.rows.start - margin, 0)
    right, bottom = min(box.columns.stop + margin, size.width), min(box.rows.stop + margin, size.height)
    return Rig(
        size=size,
        digest=source.digest,
        picture=framed.picture,
        face=face,
        grid=grid,
        patch=patch,
        nodes=grid.positions(patch),
        pose=pose[:, patch.nodes[0], patch.nodes[1]].reshape(len(pose), -1).copy(),
        face_patch=face_patch,
        upper=_sheet(face, line, "upper", near_mouth),
        lower=_sheet(face, line, "lower", near_mouth),
        lower_share=(1 - sides(near_mouth, line, _SIDES_FEATHER)[0]).astype(np.float32),
        line=line,
        lips=lip_sheets(framed.picture, face, line, left, top, right - left, bottom - top),
        box=box,
        interior=interior_of(framed.picture, face, line),
        eyes=eyes_of(framed.picture, face, framed.closed_eyes),
    )


def _sheet(face: Face, line: LipLine, side: str, places: Points) -> Sheet:
    basis = sheet_basis(face, line, "upper" if side == "upper" else "lower", places.reshape(-1, 2))
    pixels = face.directions_to_pixels(basis.fields)
    return Sheet(pixels.reshape(len(BASIS), -1).astype(np.float32), basis.lip)


def _mouth_box(face: Face, size: FrameSize) -> MouthBox:
    corners = face.to_pixels(np.array([[u, v] for u in (_BOX_LEFT, _BOX_RIGHT) for v in (_BOX_TOP, _BOX_BOTTOM)]))
    left, top = np.maximum(np.floor(corners.min(0)).astype(int), 0)
    right, bottom = np.minimum(np.ceil(corners.max(0)).astype(int), [size.width, size.height])
    x, y = np.arange(left, right, dtype=np.float32), np.arange(top, bottom, dtype=np.float32)
    feather = max(3.0, _BOX_FEATHER * face.half_mouth_px)
    across = np.minimum(np.arange(x.size), np.arange(x.size)[::-1])[None]
    down = np.minimum(np.arange(y.size), np.arange(y.size)[::-1])[:, None]
    return MouthBox(
        rows=slice(int(top), int(bottom)),
        columns=slice(int(left), int(right)),
        places=np.stack(np.meshgrid(x, y), -1),
        blend=np.clip(np.minimum(across, down) / feather, 0, 1).astype(np.float32)[..., None],
    )
