"""Encodes speech while it is spoken, in every format of OpenAI's speech endpoint."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import av
import numpy as np
from av.audio.stream import AudioStream

from services.chassis.sink import Sink
from services.gateway.narration import SPEECH_SAMPLE_RATE_HZ

AudioFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]

_UNKNOWN_LENGTH = 0xFFFFFFFF
_CHANNELS, _SAMPLE_BYTES = 1, 2


class SpeechEncoder(Protocol):
    """Takes 16-bit mono PCM at 24 kHz piece by piece and gives back encoded bytes as they come."""

    def encode(self, pcm: bytes) -> bytes:
        """Return what is ready after `pcm`."""

    def finish(self) -> bytes:
        """Return the rest."""


@dataclass(frozen=True)
class _Codec:
    container: str
    codec: str
    options: Mapping[str, str]


_CODECS: Mapping[str, _Codec] = {
    "mp3": _Codec("mp3", "libmp3lame", {"b": "96k"}),
    "opus": _Codec("ogg", "libopus", {"b": "48k", "application": "voip"}),
    "aac": _Codec("adts", "aac", {"b": "96k"}),
    "flac": _Codec("flac", "flac", {}),
}

MEDIA_TYPES: Mapping[AudioFormat, str] = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}


def encoder_for(audio_format: AudioFormat) -> SpeechEncoder:
    """Return a fresh encoder."""
    if audio_format == "pcm":
        return _Pcm()
    if audio_format == "wav":
        return _Wav()
    return _Coded(_CODECS[audio_format])


class _Pcm:
    def encode(self, pcm: bytes) -> bytes:
        return pcm

    def finish(self) -> bytes:
        return b""


class _Wav:
    """A WAV whose header says that the length is not known yet, as a stream's must."""

    def __init__(self) -> None:
        self._header = _wav_header()

    def encode(self, pcm: bytes) -> bytes:
        header, self._header = self._header, b""
        return header + pcm

    def finish(self) -> bytes:
        return self.encode(b"")


def _wav_header() -> bytes:
    rate, frame_bytes = SPEECH_SAMPLE_RATE_HZ, _CHANNELS * _SAMPLE_BYTES
    form = struct.pack("<HHIIHH", 1, _CHANNELS, rate, rate * frame_bytes, frame_bytes, 8 * _SAMPLE_BYTES)
    riff = struct.pack("<4sI4s", b"RIFF", _UNKNOWN_LENGTH, b"WAVE")
    return riff + struct.pack("<4sI", b"fmt ", len(form)) + form + struct.pack("<4sI", b"data", _UNKNOWN_LENGTH)


class _Coded:
    def __init__(self, codec: _Codec) -> None:
        self._sink = Sink()
        self._container = av.open(self._sink, "w", format=codec.container)
        stream = self._container.add_stream(codec.codec, rate=SPEECH_SAMPLE_RATE_HZ, options=dict(codec.options))
        assert isinstance(stream, AudioStream)
        stream.codec_context.layout = "mono"
        self._stream = stream
        self._samples = 0

    def encode(self, pcm: bytes) -> bytes:
        samples = np.frombuffer(pcm, "<i2")
        if samples.size:
            frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="s16", layout="mono")
            frame.sample_rate = SPEECH_SAMPLE_RATE_HZ
            frame.pts = self._samples
            self._samples += samples.size
            self._container.mux(self._stream.encode(frame))
        return self._sink.take()

    def finish(self) -> bytes:
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._sink.take()
