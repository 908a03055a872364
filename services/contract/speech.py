"""Speech on the wire: what is asked of a speech engine and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

SAMPLE_BYTES = 2
"""Bytes of one sample: every PCM stream of the contract is signed 16-bit little-endian mono."""

AUTO = "Auto"
"""The language value that asks the service to detect the language of the text."""

ENGINE_HEADER = "X-Talkie-Engine"
LANGUAGE_HEADER = "X-Talkie-Language"
VOICE_HEADER = "X-Talkie-Voice"


class SpeechRequest(BaseModel):
    """Body of `POST /v1/speech` on the tts service: one utterance, usually one sentence."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = Field(min_length=1, max_length=5_000)
    voice: str = Field("", max_length=100, description="A voice of the engine; empty for the language's default.")
    language: str = Field(AUTO, max_length=40, description="A name or BCP 47 tag, or Auto to detect it.")
    speed: float = Field(1.0, ge=0.25, le=4.0, description="1 is the voice's own pace.")
    pitch: float = Field(1.0, ge=0.5, le=2.0, description="1 is the voice's own pitch.")
    sample_rate_hz: int | None = Field(None, ge=8_000, le=48_000, description="None keeps the engine's own rate.")


class Mark(BaseModel):
    """When a phoneme or a word is heard, in seconds from the start of the utterance."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["phoneme", "word"]
    text: str = Field(description="IPA of the phoneme (stress marks kept), or the word; an empty phoneme is a pause.")
    start_s: float
    end_s: float

    def shifted(self, by_s: float) -> Mark:
        """Return the mark moved by `by_s` seconds."""
        return Mark(kind=self.kind, text=self.text, start_s=self.start_s + by_s, end_s=self.end_s + by_s)


@dataclass(frozen=True)
class AudioChunk:
    """A stretch of 16-bit mono PCM, and the marks that became known with it.

    Mark times count from the start of the utterance, not of the chunk.
    """

    pcm: bytes
    sample_rate_hz: int
    marks: tuple[Mark, ...] = ()

    @property
    def samples(self) -> int:
        """Number of samples in the chunk."""
        return len(self.pcm) // SAMPLE_BYTES

    @property
    def duration_s(self) -> float:
        """Length of the chunk in seconds."""
        return self.samples / self.sample_rate_hz


class Voice(BaseModel):
    """A voice that can be asked for by name."""

    name: str
    language: str = Field(description="BCP 47 tag of the language it speaks best, or 'multi'.")
    gender: Literal["female", "male", "neutral"]
    description: str = ""


class SpeechEngineInfo(BaseModel):
    """Answer of `GET /v1/engine` on the tts service."""

    engine: str
    revision: str
    sample_rate_hz: int
    cloning: bool = Field(description="Whether the engine can copy a voice from reference audio.")
    phoneme_marks: bool
    default_voice: str
    voices: list[Voice]
    languages: list[str] = Field(description="BCP 47 tags.")


def join_chunks(chunks: list[AudioChunk]) -> AudioChunk:
    """Return the whole utterance as one chunk. The chunks must share one rate and not be empty."""
    rates = {chunk.sample_rate_hz for chunk in chunks}
    if len(rates) != 1:
        raise ValueError(f"chunks of one utterance must share one sample rate, got {sorted(rates)}")
    return AudioChunk(
        pcm=b"".join(chunk.pcm for chunk in chunks),
        sample_rate_hz=rates.pop(),
        marks=tuple(mark for chunk in chunks for mark in chunk.marks),
    )
