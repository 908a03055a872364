"""PCM as a WAV file."""

from __future__ import annotations

import io
import wave

from services.contract.speech import SAMPLE_BYTES


def wav_file(pcm: bytes, sample_rate_hz: int) -> bytes:
    """Return 16-bit mono PCM as a WAV file."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(SAMPLE_BYTES)
        file.setframerate(sample_rate_hz)
        file.writeframes(pcm)
    return buffer.getvalue()
