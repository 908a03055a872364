"""Speech must not run on, and must not be cut when it does not."""

from __future__ import annotations

import pytest

from services.tts.engines.qwen3.guard import FRAMES_PER_S, RepeatWatchdog, frame_budget


@pytest.mark.parametrize(
    ("text", "spoken_s"),
    [
        ("Hi.", 0.4),
        ("The quick brown fox jumps over the lazy dog, and then it sleeps.", 4.0),
        ("今天天气很好，我们一起去公园散步吧。", 4.5),
        ("오늘 날씨가 좋아서 산책을 하고 싶어요.", 3.5),
        ("1984, 2026, 300.", 5.0),
    ],
)
def test_ordinary_speech_fits_and_minutes_of_it_do_not(text: str, spoken_s: float) -> None:
    budget_s = frame_budget(text) / FRAMES_PER_S
    assert 1.5 * spoken_s < budget_s < 10 * spoken_s + 10


def test_a_hum_is_noticed() -> None:
    watchdog = RepeatWatchdog()
    assert not any(watchdog.push(7) for _ in range(39))
    assert watchdog.push(7)


@pytest.mark.parametrize("period", [2, 5, 16])
def test_going_round_in_circles_is_noticed(period: int) -> None:
    watchdog = RepeatWatchdog()
    verdicts = [watchdog.push(at % period) for at in range(200)]
    assert any(verdicts)
    assert verdicts.index(True) < 100


def test_speech_is_left_alone() -> None:
    watchdog = RepeatWatchdog()
    codes = [(at * at * 31 + at // 3) % 509 for at in range(500)]
    held = [code for code in codes for _ in range(3)]  # sounds that are held for a moment
    assert not any(watchdog.push(code) for code in held)
