"""The built-in voices of the CustomVoice checkpoints."""

from __future__ import annotations

from collections.abc import Mapping

from services.contract.speech import Voice

_SPEAKERS: Mapping[str, Voice] = {
    voice.name.lower(): voice
    for voice in (
        Voice(name="Vivian", language="zh", gender="female", description="Bright, slightly edgy, young."),
        Voice(name="Serena", language="zh", gender="female", description="Warm, gentle, young."),
        Voice(name="Uncle_Fu", language="zh", gender="male", description="Seasoned, low, mellow."),
        Voice(name="Dylan", language="zh", gender="male", description="Youthful, from Beijing, clear."),
        Voice(name="Eric", language="zh", gender="male", description="Lively, from Chengdu, husky."),
        Voice(name="Ryan", language="en", gender="male", description="Dynamic, with a strong rhythm."),
        Voice(name="Aiden", language="en", gender="male", description="Sunny, American, clear."),
        Voice(name="Ono_Anna", language="ja", gender="female", description="Playful, light, nimble."),
        Voice(name="Sohee", language="ko", gender="female", description="Warm, rich in emotion."),
    )
}
"""By lower-case name. They speak every language of the model, their own best."""


def speaker_voice(name: str) -> Voice:
    """Return the voice behind a checkpoint's speaker name."""
    return _SPEAKERS.get(name.lower()) or Voice(name=name, language="multi", gender="neutral")
