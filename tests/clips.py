"""Reference clips of every kind, good and bad."""

from __future__ import annotations

import io
import wave

import av
import numpy as np
import soxr

from services.tts.sound import Sound, pcm_of
from tests.qwen3 import RATE_HZ, voice_like


def wav(sound: Sound, rate_hz: int = RATE_HZ) -> bytes:
    """Return `sound` as a 16-bit WAV."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(pcm_of(sound))
    return buffer.getvalue()


def encoded(sound: Sound, container: str, codec: str, rate_hz: int = RATE_HZ, layout: str = "mono") -> bytes:
    """Return `sound` in another format."""
    resampled = soxr.resample(sound, RATE_HZ, rate_hz)
    channels = 2 if layout == "stereo" else 1
    planar = np.repeat(resampled[np.newaxis], channels, 0).astype(np.float32)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as file:
        stream = file.add_stream(codec, rate=rate_hz, layout=layout)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(planar), format="fltp", layout=layout)
        frame.sample_rate = rate_hz
        resampler = av.AudioResampler(
            stream.codec_context.format, layout, rate_hz, stream.codec_context.frame_size or None
        )
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            file.mux(stream.encode(part))
        file.mux(stream.encode(None))
    return buffer.getvalue()


GOOD = wav(voice_like(4.0))

GOOD_FORMATS = {
    "wav": GOOD,
    "mp3": encoded(voice_like(4.0), "mp3", "libmp3lame"),
    "ogg": encoded(voice_like(4.0), "ogg", "libopus", 48_000, "stereo"),
    "m4a": encoded(voice_like(4.0), "ipod", "aac"),
    "flac": encoded(voice_like(4.0), "flac", "flac"),
    "stereo 96 kHz 32-bit float": encoded(voice_like(4.0), "wav", "pcm_f32le", 96_000, "stereo"),
}

BAD = {
    "silent": (wav(np.zeros(4 * RATE_HZ, np.float32)), 422),
    "0.2 s": (wav(voice_like(0.2)), 422),
    "10 minutes": (wav(voice_like(600.0)), 413),
    "not audio": (b"This is a text, not a sound. " * 100, 415),
    "empty": (b"", 415),
    "a broken wav": (GOOD[:60], 422),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(2000), 415),
}
"""The clip, and the status it is refused with."""
