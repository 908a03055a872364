"""Encodes speech while it is spoken: in every format of OpenAI's speech endpoint, and as telephones have it."""

from __future__ import annotations

import struct
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Literal, Protocol

import av
import numpy as np
from anyio import to_thread
from av.audio.stream import AudioStream

from services.chassis.sink import Sink
from services.gateway.narration import SPEECH_SAMPLE_RATE_HZ

AudioFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]

TelephoneFormat = Literal["ulaw", "alaw"]
"""The two laws of G.711, a byte a sample, without a header."""

_UNKNOWN_LENGTH = 0xFFFFFFFF
_CHANNELS, _SAMPLE_BYTES = 1, 2
_OGG_PAGE_US = 100_000
"""Sound of one page, in microseconds: a page goes out when it is full, and by default that takes a second."""


class SpeechEncoder(Protocol):
    """Takes 16-bit mono PCM piece by piece and gives back encoded bytes as they come."""

    def encode(self, pcm: bytes) -> bytes:
        """Return what is ready after `pcm`."""

    def finish(self) -> bytes:
        """Return the rest."""


@dataclass(frozen=True)
class _Codec:
    container: str
    codec: str
    options: Mapping[str, str]
    container_options: Mapping[str, str] = field(default_factory=dict)


_CODECS: Mapping[str, _Codec] = {
    "mp3": _Codec("mp3", "libmp3lame", {"b": "96k"}),
    "opus": _Codec("ogg", "libopus", {"b": "48k", "application": "voip"}, {"page_duration": str(_OGG_PAGE_US)}),
    "aac": _Codec("adts", "aac", {"b": "96k"}),
    "flac": _Codec("flac", "flac", {}),
    "ulaw": _Codec("mulaw", "pcm_mulaw", {}),
    "alaw": _Codec("alaw", "pcm_alaw", {}),
}

MEDIA_TYPES: Mapping[AudioFormat, str] = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}


def encoder_for(
    audio_format: AudioFormat | TelephoneFormat, sample_rate_hz: int = SPEECH_SAMPLE_RATE_HZ, kbps: int | None = None
) -> SpeechEncoder:
    """Return a fresh encoder of PCM at `sample_rate_hz`; `kbps` is for those that have a bit rate."""
    if audio_format == "pcm":
        return _Pcm()
    if audio_format == "wav":
        return _Wav(sample_rate_hz)
    codec = _CODECS[audio_format]
    return _Coded(codec, sample_rate_hz, dict(codec.options) | ({"b": f"{kbps}k"} if kbps else {}))


class _Pcm:
    def encode(self, pcm: bytes) -> bytes:
        return pcm

    def finish(self) -> bytes:
        return b""


class _Wav:
    """A WAV whose header says that the length is not known yet, as a stream's must."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._header = _wav_header(sample_rate_hz)

    def encode(self, pcm: bytes) -> bytes:
        header, self._header = self._header, b""
        return header + pcm

    def finish(self) -> bytes:
        return self.encode(b"")


def _wav_header(rate: int) -> bytes:
    frame_bytes = _CHANNELS * _SAMPLE_BYTES
    form = struct.pack("<HHIIHH", 1, _CHANNELS, rate, rate * frame_bytes, frame_bytes, 8 * _SAMPLE_BYTES)
    riff = struct.pack("<4sI4s", b"RIFF", _UNKNOWN_LENGTH, b"WAVE")
    return riff + struct.pack("<4sI", b"fmt ", len(form)) + form + struct.pack("<4sI", b"data", _UNKNOWN_LENGTH)


class _Coded:
    def __init__(self, codec: _Codec, sample_rate_hz: int, options: dict[str, str]) -> None:
        self._sink = Sink()
        self._rate_hz = sample_rate_hz
        self._container = av.open(
            self._sink, "w", format=codec.container, container_options=dict(codec.container_options)
        )
        stream = self._container.add_stream(codec.codec, rate=sample_rate_hz, options=options)
        assert isinstance(stream, AudioStream)
        stream.codec_context.layout = "mono"
        self._stream = stream
        self._samples = 0

    def encode(self, pcm: bytes) -> bytes:
        samples = np.frombuffer(pcm, "<i2")
        if samples.size:
            frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="s16", layout="mono")
            frame.sample_rate = self._rate_hz
            frame.pts = self._samples
            self._samples += samples.size
            self._container.mux(self._stream.encode(frame))
        return self._sink.take()

    def finish(self) -> bytes:
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._sink.take()


async def encoded_stream(pieces: AsyncGenerator[bytes, None], audio_format: AudioFormat) -> AsyncGenerator[bytes, None]:
    """Yield 16-bit mono PCM at 24 kHz encoded, as it comes; closing this closes `pieces`."""
    encoder = encoder_for(audio_format)
    async with aclosing(pieces):
        async for pcm in pieces:
            # Encoding is work, and the event loop has other clients.
            if data := await to_thread.run_sync(encoder.encode, pcm):
                yield data
    if data := await to_thread.run_sync(encoder.finish):
        yield data
