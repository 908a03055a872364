"""What the portrait renderer paints: the portrait itself at rest, and nothing that remembers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from services.avatar.artwork import read_avatar
from services.avatar.engine import FrameSize, Image
from services.avatar.engines.portrait.expression import MOUTH_SHAPES, Expression, HeadPose
from services.avatar.engines.portrait.geometry import EYES
from services.avatar.engines.portrait.painter import Painter
from services.avatar.engines.portrait.rig import Rig, build_rig

AVATARS = sorted(path for path in (Path(__file__).parents[2] / "avatars").iterdir() if path.is_dir())
SMALL = FrameSize(256, 256)


@cache
def rig_of(path: Path, size: FrameSize = SMALL) -> Rig:
    return build_rig(read_avatar(path).source, size)


@pytest.fixture(params=AVATARS, ids=lambda path: path.name)
def rig(request: pytest.FixtureRequest) -> Rig:
    return rig_of(request.param)


def face(blink: float = 0.0, head: HeadPose | None = None, **mouth: float) -> Expression:
    weights = np.array([mouth.get(shape, 0.0) for shape in MOUTH_SHAPES], np.float32)
    return Expression(weights, head=head or HeadPose(), blink=blink)


def paint(rig: Rig, expression: Expression) -> Image:
    return Painter(rig).paint(expression).copy()


def mouth_of(rig: Rig, frame: Image) -> npt.NDArray[np.float64]:
    """Return the brightness in the middle of the mouth box, between the corners."""
    (x, y), reach = rig.face.origin, rig.face.half_mouth_px
    part = frame[int(y - 0.1 * reach) : int(y + 0.4 * reach), int(x - 0.3 * reach) : int(x + 0.3 * reach)]
    return part.astype(float).mean(axis=2)


def test_a_face_at_rest_is_the_portrait(rig: Rig) -> None:
    difference = np.abs(paint(rig, face()).astype(int) - rig.picture)
    assert difference.mean() < 0.1
    assert difference.max() < 40


def test_a_dropped_jaw_opens_the_mouth_onto_the_dark(rig: Rig) -> None:
    closed, wide_open = mouth_of(rig, paint(rig, face())), mouth_of(rig, paint(rig, face(jaw=1.0)))
    assert wide_open.min() < 0.6 * closed.min()


def test_pressed_lips_show_nothing_behind_them(rig: Rig) -> None:
    closed, pressed = mouth_of(rig, paint(rig, face())), mouth_of(rig, paint(rig, face(press=0.8)))
    assert pressed.min() > 0.7 * closed.min()


def test_a_blink_hides_the_iris(rig: Rig) -> None:
    for eye in EYES:
        x, y = rig.face.points[eye.iris].round().astype(int)
        opened, closed = (paint(rig, face(blink=blink))[y, x].mean() for blink in (0.0, 1.0))
        assert closed > opened + 25


def test_a_blink_closes_steadily(rig: Rig) -> None:
    x, y = rig.face.points[EYES[0].iris].round().astype(int)
    rows = [paint(rig, face(blink=blink))[y - 6 : y + 7, x].mean() for blink in (0, 0.3, 0.5, 0.7, 1)]
    assert rows[0] < rows[2] < rows[4]


def test_the_gaze_moves_the_iris(rig: Rig) -> None:
    eye, still = rig.eyes[0], rig.picture.copy()
    looking = rig.picture.copy()
    eye.draw(looking, 0.0, (0.35, 0.0))
    changed = np.abs(looking.astype(int) - still).sum(axis=2)
    assert changed[eye.rows, eye.columns].max() > 30
    changed[eye.rows, eye.columns] = 0
    assert changed.max() == 0


def test_corners_of_the_frame_never_move(rig: Rig) -> None:
    moved = paint(rig, face(jaw=1.0, head=HeadPose(0.03, 0.03, 0.05, 0.08, 0.08)))
    for rows in (slice(0, 8), slice(-8, None)):
        for columns in (slice(0, 8), slice(-8, None)):
            assert np.array_equal(moved[rows, columns], rig.picture[rows, columns])


def test_a_frame_does_not_depend_on_the_frames_before(rig: Rig) -> None:
    expressions = [face(jaw=0.2 * i, blink=0.25 * i, round=0.1 * i, head=HeadPose(yaw=0.02 * i)) for i in range(5)]
    alone = [paint(rig, expression) for expression in expressions]
    painter = Painter(rig)
    for order in (range(5), reversed(range(5))):
        for i in order:
            assert np.array_equal(painter.paint(expressions[i]), alone[i])


def test_painters_of_one_rig_do_not_disturb_each_other() -> None:
    rig = rig_of(AVATARS[0])
    expressions = [face(jaw=0.1 * i, blink=0.1 * i) for i in range(10)]
    alone = [paint(rig, expression) for expression in expressions]

    def paint_all(_: int) -> bool:
        painter = Painter(rig)
        return all(np.array_equal(painter.paint(e), frame) for e, frame in zip(expressions, alone, strict=True))

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(paint_all, range(8)))


@pytest.mark.parametrize(("width", "height"), [(512, 512), (640, 360), (360, 640), (128, 128), (3840, 200)])
def test_every_shape_of_frame_holds_the_whole_face(width: int, height: int) -> None:
    rig = rig_of(AVATARS[0], FrameSize(width, height))
    assert paint(rig, face(jaw=0.5)).shape == (height, width, 3)
    landmarks = rig.face.points[:468]
    assert landmarks.min() > 0
    assert (landmarks < [width, height]).all()
