"""Names that clients send by default stand for voices that there are."""

from __future__ import annotations

import pytest

from services.contract.speech import SpeechEngineInfo, Voice
from services.gateway.voicing import VoiceId, voice_of


def engine(*voices: str, cloning: bool = False) -> SpeechEngineInfo:
    return SpeechEngineInfo(
        engine="tone",
        revision="1",
        sample_rate_hz=24_000,
        cloning=cloning,
        phoneme_marks=False,
        default_voice="",
        voices=[Voice(name=name, language="multi", gender="neutral") for name in voices],
        languages=["en"],
    )


@pytest.mark.parametrize(
    ("asked", "engines", "spoken"),
    [
        ("nova", [engine("female", "male")], "female"),
        ("onyx", [engine("female", "male")], "male"),
        ("nova", [engine("nova", "female")], "nova"),
        ("nova", [engine("hum")], "female"),
        ("Vivian", [engine("female")], "female"),
        ("vivian", [engine("female")], "female"),
        ("Vivian", [engine("female"), engine("Vivian", cloning=True)], "Vivian"),
        ("vivian", [engine("female"), engine("Vivian", cloning=True)], "vivian"),
        ("Vivian", [engine("female"), engine(cloning=True)], "Vivian"),
        ("nobody", [engine("female")], "nobody"),
    ],
)
def test_stand_ins(asked: str, engines: list[SpeechEngineInfo], spoken: str) -> None:
    assert voice_of(asked, engines) == spoken
    assert voice_of(VoiceId(id=asked), engines) == spoken
