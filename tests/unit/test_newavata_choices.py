"""What NewAvata's clients get: the avatar that suits the speech, and the speaker that exists."""

from __future__ import annotations

from typing import Literal

import pytest

from services.contract.newavata import LipSyncAsk, ListedEngine
from services.contract.video import AvatarInfo
from services.gateway.newavata.serving import known_speaker, longest_enough

ENGINES = [
    ListedEngine(id="espeak", name="espeak", voices=["female", "male"], default=True),
    ListedEngine(id="qwen3", name="qwen3", voices=["Vivian", "ann"]),
]


def avatar(name: str, motion_s: float, voice: Literal["female", "male"] | None = None) -> AvatarInfo:
    return AvatarInfo(name=name, title=name, license="", width=1, height=1, motion_s=motion_s, voice=voice)


AVATARS = [
    avatar("maya", 0.0, "female"),
    avatar("short", 5.0),
    avatar("long", 10.0),
    avatar("him", 7.0, "male"),
]


@pytest.mark.parametrize(("audio_s", "chosen"), [(3.0, "short"), (5.0, "short"), (6.0, "long"), (60.0, "long")])
def test_auto_takes_the_shortest_clip_that_lasts(audio_s: float, chosen: str) -> None:
    assert longest_enough(AVATARS, audio_s, "maya") == chosen


def test_without_clips_the_default_stays() -> None:
    assert longest_enough(AVATARS[:1], 3.0, "maya") == "maya"


@pytest.mark.parametrize(
    ("engine", "voice", "expected", "told"),
    [
        (None, None, ("", ""), 0),
        ("auto", "male", ("", "male"), 0),
        ("qwen3", "ann", ("qwen3", "ann"), 0),
        ("espeak", "ann", ("espeak", ""), 1),
        ("cosyvoice", "Custom", ("", ""), 2),
        ("elevenlabs", "male", ("", "male"), 1),
    ],
)
def test_speakers_that_do_not_exist_are_replaced_and_told(
    engine: str | None, voice: str | None, expected: tuple[str, str], told: int
) -> None:
    chosen, spoken, notices = known_speaker(LipSyncAsk(text="x", tts_engine=engine, tts_voice=voice), ENGINES)
    assert (chosen, spoken) == expected
    assert len(notices) == told
