"""What moves besides the mouth: the head as a whole, in depth, with the brows; and the breathing chest."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from services.avatar.engines.face_mesh import FACE_OVAL
from services.avatar.engines.portrait.easing import smoothstep
from services.avatar.engines.portrait.expression import Expression
from services.avatar.engines.portrait.geometry import CHIN, EYES, FOREHEAD, Face, Points
from services.avatar.engines.portrait.grid import Field
from services.avatar.engines.portrait.spline import thin_plate

Weights = npt.NDArray[np.float32]

_BROW_LIFT = 0.07
_CHEST_LIFT = 0.012
"""In eye distances."""

_LARGEST = np.array([0.03, 0.03, 0.03, 0.08, 0.08, 1.0, 1.0])
"""What an expression asks of each field at most, for finding the pixels that ever move."""


def pose_weights(expression: Expression, eye_distance_px: float) -> Weights:
    """Return the weight of each field of `pose_fields` in `expression`, [7]."""
    head = expression.head
    x, y = head.x * eye_distance_px, head.y * eye_distance_px
    return np.array([x, y, head.roll, head.yaw, head.pitch, expression.breath, expression.brow], np.float32)


def pose_fields(face: Face, nodes: Field) -> Field:
    """Return how `nodes` [rows, columns, 2] move for one unit of each weight, [7, rows, columns, 2]."""
    size = nodes[-1, -1] + nodes[0, 0] + 1
    at = nodes.astype(np.float64)
    head = _head_share(face, at, size)
    depth = _depth(face, at) * face.eye_distance_px * head
    pivot = face.points[CHIN] + face.axes[1] * 0.9 * face.eye_distance_px
    arm = at - pivot
    still = np.zeros_like(head)
    lift_px = face.eye_distance_px
    fields = [
        (head, still),
        (still, head),
        (-arm[..., 1] * head, arm[..., 0] * head),
        (depth, still),
        (still, depth),
        (still, -_CHEST_LIFT * lift_px * _chest_share(face, at, size)),
        (still, -_BROW_LIFT * lift_px * _brow_share(face, at)),
    ]
    return np.array([np.stack(pair, -1) for pair in fields], np.float32)


def ever_moving(fields: Field, eye_distance_px: float) -> npt.NDArray[np.bool_]:
    """Return where the fields move anything by more than a hundredth of a pixel, [rows, columns]."""
    largest = _LARGEST * np.array([eye_distance_px, eye_distance_px, 1, 1, 1, 1, 1])
    reach = np.abs(fields) * largest[:, None, None, None].astype(np.float32)
    moving: npt.NDArray[np.bool_] = reach.max(axis=(0, 3)) > 0.01
    return moving


def _head_share(face: Face, at: Points, size: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """1 on the head, fading into the air around it and down the neck, 0 at the frame's edge."""
    centre = (face.points[FOREHEAD] + face.points[CHIN]) / 2
    half_height_px = np.linalg.norm(face.points[CHIN] - face.points[FOREHEAD]) / 2
    x, y = np.moveaxis((at - centre) / half_height_px, -1, 0)
    away = np.hypot(x, (y + 0.12) / 1.15)
    below_chin = (at - face.points[CHIN]) @ face.axes[1] / face.eye_distance_px
    share = (1 - smoothstep((away - 1.25) / 0.95)) * (1 - smoothstep((below_chin - 0.05) / 1.1))
    return share * smoothstep(_from_edge(at, size, bottom=False) / 0.12)


def _chest_share(face: Face, at: Points, size: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    centre = (face.points[FOREHEAD] + face.points[CHIN]) / 2
    half_height_px = np.linalg.norm(face.points[CHIN] - face.points[FOREHEAD]) / 2
    aside = np.abs(at[..., 0] - centre[0]) / half_height_px
    below_chin = (at - face.points[CHIN]) @ face.axes[1] / face.eye_distance_px
    share = (1 - smoothstep((aside - 1.5) / 0.9)) * smoothstep((below_chin - 0.3) / 1.4)
    return share * smoothstep(_from_edge(at, size, bottom=True) / 0.08)


def _from_edge(at: Points, size: npt.NDArray[np.float32], *, bottom: bool) -> npt.NDArray[np.float64]:
    """Return the distance to the nearest edge of the frame, as a share of its size; the bottom only if asked."""
    x, y = at[..., 0] / size[0], at[..., 1] / size[1]
    distances = [x, 1 - x, y] + ([1 - y] if bottom else [])
    nearest: npt.NDArray[np.float64] = np.minimum.reduce(distances)
    return nearest


def _brow_share(face: Face, at: Points) -> npt.NDArray[np.float64]:
    """1 at the brows, fading over the forehead, 0 at the eyelids."""
    share = np.zeros(at.shape[:2])
    for eye in EYES:
        brow = face.points[list(eye.brow)].mean(0)
        lid = face.points[list(eye.upper)][2:-2].mean(0)
        x, y = np.moveaxis((at - brow) @ face.axes.T / face.eye_distance_px, -1, 0)
        lid_y = float((lid - brow) @ face.axes[1]) / face.eye_distance_px
        above = 1 - smoothstep((-y - 0.15) / 0.45)
        below = 1 - smoothstep(y / (0.75 * lid_y))
        share = np.maximum(share, np.exp(-((x / 0.42) ** 2)) * above * below)
    return share


def _depth(face: Face, at: Points) -> npt.NDArray[np.float64]:
    """Return how far toward the viewer every place is, in eye distances; the air around lies a little behind."""
    centre = (face.points[FOREHEAD] + face.points[CHIN]) / 2
    half_height_px = np.linalg.norm(face.points[CHIN] - face.points[FOREHEAD]) / 2
    known = np.arange(0, 468, 4)
    rings = [centre + (face.points[list(FACE_OVAL)] - centre) * reach for reach in (1.25, 1.6, 2.2)]
    places = np.vstack([face.points[known], *rings])
    depths = np.concatenate([np.clip(face.depth[known], -0.2, 0.9), np.full(3 * len(FACE_OVAL), -0.05)])
    queries = ((at - centre) / half_height_px).reshape(-1, 2)
    field = thin_plate((places - centre) / half_height_px, depths[:, None], queries, smoothness=2e-2)
    return cv2.GaussianBlur(field.reshape(at.shape[:2]), (0, 0), 2.0)  # type: ignore[return-value]
