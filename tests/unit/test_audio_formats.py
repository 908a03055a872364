"""Encoders of speech: whole and right however the sound arrives."""

from __future__ import annotations

import io
from typing import get_args

import av
import numpy as np
import numpy.typing as npt
import pytest

from services.gateway.audio import MEDIA_TYPES, SPEECH_SAMPLE_RATE_HZ, AudioFormat, encoder_for

TIME_S = np.arange(SPEECH_SAMPLE_RATE_HZ) / SPEECH_SAMPLE_RATE_HZ
TONE = (8_000 * np.sin(2 * np.pi * 440 * TIME_S)).astype("<i2")
FORMATS: tuple[AudioFormat, ...] = get_args(AudioFormat)
LOSSLESS: tuple[AudioFormat, ...] = ("flac", "wav")
CODEC_EDGE_S = 0.12
LEVEL = {"mp3": 0.95}
"""LAME keeps 5 % of headroom, whatever the bit rate; the others keep the level."""


def encode(audio_format: AudioFormat, pcm: bytes, piece_bytes: int) -> list[bytes]:
    """Return what the encoder gave for each piece, and for the end."""
    encoder = encoder_for(audio_format)
    pieces = [encoder.encode(pcm[at : at + piece_bytes]) for at in range(0, len(pcm), piece_bytes)]
    return [*pieces, encoder.finish()]


def decode(data: bytes) -> npt.NDArray[np.int16]:
    """Return the sound at the rate of speech."""
    resampler = av.AudioResampler("s16", "mono", SPEECH_SAMPLE_RATE_HZ)
    with av.open(io.BytesIO(data)) as sound:
        frames = [part for frame in sound.decode(audio=0) for part in resampler.resample(frame)]
    frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


@pytest.mark.parametrize("piece_bytes", [254, 4_096, 10**6])
@pytest.mark.parametrize("audio_format", [name for name in FORMATS if name != "pcm"])
def test_the_tone_comes_back_however_it_was_cut(audio_format: AudioFormat, piece_bytes: int) -> None:
    heard = decode(b"".join(encode(audio_format, TONE.tobytes(), piece_bytes)))
    assert heard.size == pytest.approx(TONE.size, abs=CODEC_EDGE_S * SPEECH_SAMPLE_RATE_HZ)
    middle = heard[heard.size // 4 : heard.size * 3 // 4].astype(float)
    spectrum = np.abs(np.fft.rfft(middle))
    assert np.fft.rfftfreq(middle.size, 1 / SPEECH_SAMPLE_RATE_HZ)[spectrum.argmax()] == pytest.approx(440, abs=4)
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(LEVEL.get(audio_format, 1) * 8_000 / np.sqrt(2), rel=0.02)


@pytest.mark.parametrize("audio_format", LOSSLESS)
def test_lossless_formats_lose_nothing(audio_format: AudioFormat) -> None:
    assert np.array_equal(decode(b"".join(encode(audio_format, TONE.tobytes(), 5_000))), TONE)


def test_pcm_is_passed_on_as_it_is() -> None:
    assert encode("pcm", TONE.tobytes(), 5_000)[:-1] == [
        TONE.tobytes()[at : at + 5_000] for at in range(0, TONE.nbytes, 5_000)
    ]


@pytest.mark.parametrize("audio_format", FORMATS)
def test_bytes_leave_before_the_end(audio_format: AudioFormat) -> None:
    *pieces, _ = encode(audio_format, TONE.tobytes() * 4, TONE.nbytes)
    assert sum(map(len, pieces)) > 0


@pytest.mark.parametrize("audio_format", FORMATS)
def test_every_format_has_a_media_type(audio_format: AudioFormat) -> None:
    assert MEDIA_TYPES[audio_format].startswith("audio/")


def test_a_speech_without_sound_is_still_a_wav() -> None:
    (data,) = encode("wav", b"", 1)
    with av.open(io.BytesIO(data)) as sound:
        assert sound.streams.audio[0].rate == SPEECH_SAMPLE_RATE_HZ
