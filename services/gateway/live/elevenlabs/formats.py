"""The forms of sound that ElevenLabs' clients name."""

from __future__ import annotations

import re
from dataclasses import dataclass

from services.contract.errors import InvalidRequest
from services.gateway.audio import AudioFormat, SpeechEncoder, TelephoneFormat, encoder_for

_NAME = re.compile(r"(mp3|pcm|ulaw|alaw|opus)_(\d{4,5})(?:_(\d{2,3}))?")
_RATES_HZ = {
    "mp3": (22_050, 24_000, 44_100),
    "pcm": (8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000),
    "ulaw": (8_000,),
    "alaw": (8_000,),
    "opus": (48_000,),
}
_KBPS = {"mp3": (32, 48, 64, 96, 128, 192), "opus": (32, 64, 96, 128, 192)}
_CODECS: dict[str, AudioFormat | TelephoneFormat] = {
    "mp3": "mp3",
    "pcm": "pcm",
    "ulaw": "ulaw",
    "alaw": "alaw",
    "opus": "opus",
}


@dataclass(frozen=True)
class Output:
    """How sound is sent."""

    codec: AudioFormat | TelephoneFormat
    sample_rate_hz: int
    kbps: int | None

    @property
    def coded(self) -> bool:
        """Whether the encoder takes time, and holds back the last of what it was given."""
        return self.codec in _KBPS

    def encoder(self) -> SpeechEncoder:
        """Return a fresh encoder."""
        return encoder_for(self.codec, self.sample_rate_hz, self.kbps)


def output_of(name: str) -> Output:
    """Return what `name` stands for, such as mp3_44100_128; raises `InvalidRequest`."""
    match = _NAME.fullmatch(name)
    if match is not None:
        codec, rate_hz, kbps = match[1], int(match[2]), int(match[3]) if match[3] else None
        if rate_hz in _RATES_HZ[codec] and kbps in _KBPS.get(codec, (None,)):
            return Output(_CODECS[codec], rate_hz, kbps)
    raise InvalidRequest(
        f"output_format: {name!r} is not spoken here; take mp3_44100_128, pcm_16000, pcm_24000, ulaw_8000, "
        "alaw_8000, opus_48000_64 or one like them.",
        param="output_format",
    )
