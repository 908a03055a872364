"""Reference audio: everything that holds a voice is taken, everything else is refused with a reason."""

from __future__ import annotations

import numpy as np
import pytest

from services.contract.errors import InvalidRequest, ServiceError
from services.tts.loudness import integrated_loudness_lufs
from services.tts.references import RATE_HZ, read_reference, usable_transcript
from services.tts.sound import sound_of
from tests.clips import BAD, GOOD_FORMATS, wav
from tests.qwen3 import voice_like


@pytest.mark.parametrize("name", GOOD_FORMATS)
def test_every_common_format_is_read(name: str) -> None:
    reference = read_reference(GOOD_FORMATS[name], 60)
    assert reference.info.duration_s == pytest.approx(4.0, abs=0.1)
    sound = sound_of(reference.pcm)
    assert len(sound) == pytest.approx(4 * RATE_HZ, abs=0.1 * RATE_HZ)
    spectrum = np.abs(np.fft.rfft(sound))
    strongest_hz = np.fft.rfftfreq(len(sound), 1 / RATE_HZ)[np.argmax(spectrum)]
    assert strongest_hz == pytest.approx(150, rel=0.6)


@pytest.mark.parametrize("name", BAD)
def test_what_no_voice_can_be_copied_from_is_refused(name: str) -> None:
    clip, status = BAD[name]
    with pytest.raises(ServiceError) as refusal:
        read_reference(clip, 60)
    assert refusal.value.status == status
    assert refusal.value.param == "ref_audio"


@pytest.mark.parametrize("gain", [0.05, 0.3, 1.0])
def test_quiet_and_loud_clips_come_to_one_level(gain: float) -> None:
    reference = read_reference(wav((voice_like(4.0) * gain).astype(np.float32)), 60)
    assert integrated_loudness_lufs(sound_of(reference.pcm), RATE_HZ) == pytest.approx(-20, abs=1)


def test_the_digest_is_of_the_sound() -> None:
    one, same, other = (read_reference(wav(voice_like(2.0, pitch_hz)), 60) for pitch_hz in (150, 150, 160))
    assert one.info.reference == same.info.reference != other.info.reference


def test_advice_is_given() -> None:
    assert "only 2.0 s" in " ".join(read_reference(wav(voice_like(2.0)), 60).info.notices)
    overdriven = np.clip(voice_like(4.0) * 20, -1, 1).astype(np.float32)
    assert "overdriven" in " ".join(read_reference(wav(overdriven), 60).info.notices)


def test_transcripts_of_other_clips_are_noticed() -> None:
    words = "This is what I say in the clip, word for word."
    assert usable_transcript(words, 4.0) == (words, [])
    assert usable_transcript(" two\n lines ", 1.0)[0] == "two lines"
    with pytest.raises(InvalidRequest, match="cannot have been said"):
        usable_transcript(words * 10, 4.0)
    with pytest.raises(InvalidRequest, match="cannot have been said"):
        usable_transcript("今天天气很好我们一起去公园散步吧" * 4, 3.0)
    unused, [notice] = usable_transcript("Hi.", 20.0)
    assert unused == ""
    assert "timbre alone" in notice
    assert "Without a transcript" in usable_transcript("", 4.0)[1][0]
