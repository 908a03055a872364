"""MuseTalk's steps against reference vectors, and where those are silent, against what they must be."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from services.avatar.engines.musetalk.blending import blend, crop_box_of, patch_of
from services.avatar.engines.musetalk.hearing import TOKENS_PER_FRAME, Hearing, Sound
from services.avatar.engines.musetalk.parity import compare, main

VECTORS = Path(__file__).parents[1] / "data" / "musetalk_short.npz"


def test_every_step_is_the_reference(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(VECTORS)]) == 0
    assert capsys.readouterr().out.count("ok") == 9


def test_a_difference_is_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with np.load(VECTORS) as file:
        vectors = {name: file[name] for name in file.files}
    vectors["windows"] = vectors["windows"] + np.float32(3e-4)
    vectors["composited_bgr"] = np.roll(vectors["composited_bgr"], 1, 0)
    changed = tmp_path / "changed.npz"
    np.savez(changed, **vectors)
    assert [step.name for step in compare(changed) if not step.passed] == ["windows", "blended frame"]
    assert main([str(changed)]) == 1
    assert main([]) == 1


class CountingEars:
    """Hears the number of each token, which is what the sound says; remembers how often it listened."""

    device = torch.device("cpu")

    def __init__(self) -> None:
        self.listened = 0

    def tokens(self, sound: Sound) -> torch.Tensor:
        self.listened += 1
        numbers = torch.zeros(1500)
        heard = torch.from_numpy(sound[::320].copy())
        numbers[: len(heard)] = heard
        return numbers[:, None, None].expand(-1, 5, 384)


def counting(seconds: float, fps: Fraction) -> tuple[Hearing, CountingEars]:
    ears = CountingEars()
    sound = (np.arange(round(seconds * 16_000)) // 320).astype(np.float32)
    return Hearing(ears, sound, fps), ears  # type: ignore[arg-type]


@pytest.mark.parametrize("fps", [Fraction(24), Fraction(25), Fraction(30_000, 1001), Fraction(60)])
def test_windows_follow_the_sound_at_any_rate_without_drift(fps: Fraction) -> None:
    seconds = 100
    hearing, ears = counting(seconds, fps)
    per_frame = -(-50 // fps)
    for frame in range(int(seconds * fps)):
        heard = hearing.window(frame).reshape(TOKENS_PER_FRAME, 5, 384)[:, 0, 0]
        start = int(frame * 50 / fps) - 2 * per_frame
        tokens = range(start, start + TOKENS_PER_FRAME)
        assert heard.tolist() == [float(at) if 0 <= at < seconds * 50 else 0.0 for at in tokens]
    assert ears.listened == 4  # each 30 s once


def test_no_sound_is_heard_as_silence() -> None:
    hearing, _ = counting(0, Fraction(25))
    assert not hearing.windows(range(3)).any()


def test_only_the_lower_half_of_the_box_is_touched() -> None:
    frame = np.full((300, 300, 3), 50, np.uint8)
    box = (100, 90, 180, 200)
    patch = patch_of(box, np.full((512, 512), 255, np.uint8))
    before = frame.copy()
    blend(frame, np.full((256, 256, 3), 200, np.uint8), patch)
    assert frame[190, 140, 0] > 190
    changed = np.argwhere((frame != before).any(2))
    assert changed.min(0)[1] >= 100
    assert changed.max(0)[1] < 180
    middle = (crop_box_of(box)[1] + crop_box_of(box)[3]) // 2
    assert changed.min(0)[0] >= middle - 12  # the soft edge
    assert changed.max(0)[0] < 200


def test_a_box_at_the_edge_of_the_frame_can_be_blended() -> None:
    frame = np.zeros((120, 100, 3), np.uint8)
    patch = patch_of((0, 20, 60, 120), np.full((64, 64), 255, np.uint8))
    assert patch.mask_box[0] < 0
    blend(frame, np.full((256, 256, 3), 255, np.uint8), patch)
    assert frame[100, 30].min() > 200
