"""Speech on the wire: what is asked of a speech engine and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

SAMPLE_BYTES = 2
"""Bytes of one sample: every PCM stream of the contract is signed 16-bit little-endian mono."""

AUTO = "Auto"
"""The language value that asks the service to detect the language of the text."""

CODEC_FRAME_SAMPLES = 1920
"""Samples of one frame of Qwen3-TTS's codec, at 24 kHz: 80 ms."""

SLOWEST, FASTEST = 0.25, 4.0
LOWEST, HIGHEST = 0.5, 2.0
"""Bounds of speed and pitch, times the voice's own."""

GENDERS = ("female", "male")
"""What may be asked for in place of a voice's name: each engine answers with one of its voices of that gender."""

ModelSize = Literal["", "0.6b", "1.7b"]


class Generation(BaseModel):
    """How a language-model engine samples; engines of other kinds have no use for it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_new_tokens: int = Field(2048, ge=1, le=4096, description="Codec frames at most; 12.5 are a second.")
    temperature: float = Field(0.9, ge=0, le=2)
    top_k: int = Field(50, ge=1, le=100)
    top_p: float = Field(1.0, ge=0, le=1)
    repetition_penalty: float = Field(1.05, ge=1, le=2)
    do_sample: bool = True


class Manner(BaseModel):
    """How something is to be spoken, whatever it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    voice: str = Field(
        "",
        max_length=100,
        description="A voice of an engine or a stored one; female or male for one of that gender, empty for any.",
    )
    speed: float = Field(1.0, ge=SLOWEST, le=FASTEST, description="1 is the voice's own pace.")
    pitch: float = Field(1.0, ge=LOWEST, le=HIGHEST, description="1 is the voice's own pitch.")
    sample_rate_hz: int | None = Field(None, ge=8_000, le=48_000, description="None keeps the engine's own rate.")
    engine: str = Field("", max_length=40, description="Empty: the routing table chooses, and may fall back.")
    model_size: ModelSize = Field("", description="For engines that have sizes; empty for the default one.")
    reference: str = Field("", pattern="^([0-9a-f]{64})?$", description="Digest of uploaded audio whose voice to copy.")
    transcript: str = Field("", max_length=5_000, description="What is said in the reference, word for word.")
    x_vector_only: bool = Field(False, description="Copy the timbre alone; the transcript is not used.")
    instruct: str = Field("", max_length=5_000, description="How to speak, for models that take it.")
    generation: Generation = Generation()
    seed: int | None = Field(None, ge=0, lt=2**63, description="The same seed speaks the same take.")
    live: bool = Field(True, description="Send sound as it is made; otherwise whole, batched with others.")
    use_cache: bool = Field(True, description="Answer from the cache, and keep the answer there.")

    def bent(self, speed: float, pitch: float) -> Manner:
        """Return the manner so many times faster and higher, as far as can be asked for."""
        update = {
            "speed": min(max(self.speed * speed, SLOWEST), FASTEST),
            "pitch": min(max(self.pitch * pitch, LOWEST), HIGHEST),
        }
        return self.model_copy(update=update)


class SpeechRequest(Manner):
    """Body of `POST /v1/speech` on the tts service: one utterance, usually one sentence."""

    text: str = Field(min_length=1, max_length=5_000)
    language: str = Field(AUTO, max_length=40, description="A name or BCP 47 tag, or Auto to detect it.")
    phonemes: str = Field("", max_length=2_000, description="IPA to speak in place of the text, for engines that can.")

    @classmethod
    def of(cls, manner: Manner, text: str, language: str = AUTO, phonemes: str = "") -> SpeechRequest:
        """Return the request to speak `text` in this manner."""
        fields = {name: getattr(manner, name) for name in Manner.model_fields}
        return cls(text=text, language=language, phonemes=phonemes, **fields)


class Mark(BaseModel):
    """When a phoneme or a word is heard, in seconds from the start of the utterance."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["phoneme", "word"]
    text: str = Field(description="IPA of the phoneme (stress marks kept), or the word; an empty phoneme is a pause.")
    start_s: float
    end_s: float
    approximate: bool = Field(False, description="Guessed from the sound, because the engine does not know.")

    def shifted(self, by_s: float) -> Mark:
        """Return the mark moved by `by_s` seconds."""
        return self.model_copy(update={"start_s": self.start_s + by_s, "end_s": self.end_s + by_s})


@dataclass(frozen=True)
class AudioChunk:
    """A stretch of 16-bit mono PCM, and the marks that became known with it.

    Mark times count from the start of the utterance, not of the chunk.
    """

    pcm: bytes
    sample_rate_hz: int
    marks: tuple[Mark, ...] = ()
    notices: tuple[str, ...] = ()
    """What the listener should be told of how it was made."""
    takes: int = 1
    """How often the engine had to speak until this came out right."""
    cut: bool = False
    """Whether the speech ran on and was cut; it is not worth keeping."""

    @classmethod
    def silence(cls, duration_s: float, sample_rate_hz: int) -> AudioChunk:
        """Return so much silence."""
        return cls(bytes(SAMPLE_BYTES * round(duration_s * sample_rate_hz)), sample_rate_hz)

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
    checkpoints: list[str] = Field([], description="Those that are here, of engines that have several: base_0.6b ...")


class ReferenceInfo(BaseModel):
    """Answer of `POST /v1/references` on the tts service: reference audio that was checked and kept for a while."""

    reference: str = Field(description="SHA-256 of the sound; the same clip in two formats has two.")
    duration_s: float
    loudness_lufs: float
    notices: list[str] = Field(default_factory=list, description="What would make the copy better.")


class StoredVoice(BaseModel):
    """A copied voice that was given a name."""

    id: str
    object: Literal["audio.voice"] = "audio.voice"
    name: str
    transcript: str = Field("", description="What is said in the sample; empty copies the timbre alone.")
    duration_s: float = Field(description="Length of the sample.")
    consent: str = Field("", description="Id of the consent it was stored with.")
    created_at: int = Field(description="Seconds since 1970.")
    reference: str = Field(description="Digest of the sample.")
    notices: list[str] = []


class VoiceConsent(BaseModel):
    """A person's recorded agreement to have their voice copied."""

    id: str
    object: Literal["audio.voice_consent"] = "audio.voice_consent"
    name: str
    language: str
    created_at: int


class CacheStats(BaseModel):
    """Answer of `GET /tts/cache/stats`."""

    cache_size: int = Field(description="Utterances in memory; more may be on disk and in Redis, and be hits, too.")
    max_cache_size: int = Field(description="As many as memory may hold.")
    hits: int
    misses: int
    hit_rate: float = Field(description="Percent.")
    total_requests: int

    @classmethod
    def counted(cls, size: int, max_size: int, hits: int, misses: int) -> CacheStats:
        """Return the stats with their sums."""
        total = hits + misses
        return cls(
            cache_size=size,
            max_cache_size=max_size,
            hits=hits,
            misses=misses,
            hit_rate=round(100 * hits / total, 2) if total else 0.0,
            total_requests=total,
        )

    @classmethod
    def together(cls, stats: Sequence[CacheStats]) -> CacheStats:
        """Return the stats of several caches as one."""
        sizes = [(one.cache_size, one.max_cache_size, one.hits, one.misses) for one in stats]
        return cls.counted(*map(sum, zip(*sizes, strict=True))) if sizes else cls.counted(0, 0, 0, 0)


def is_auto(language: str) -> bool:
    """Whether the language of a text is to be detected."""
    return language.strip().lower() in ("", AUTO.lower())


def is_gender(voice: str) -> bool:
    """Whether what is asked for as a voice is a gender, and no name."""
    return voice.strip().lower() in GENDERS


def join_chunks(chunks: Sequence[AudioChunk]) -> AudioChunk:
    """Return the whole utterance as one chunk. The chunks must share one rate and not be empty."""
    rates = {chunk.sample_rate_hz for chunk in chunks}
    if len(rates) != 1:
        raise ValueError(f"chunks of one utterance must share one sample rate, got {sorted(rates)}")
    return AudioChunk(
        pcm=b"".join(chunk.pcm for chunk in chunks),
        sample_rate_hz=rates.pop(),
        marks=tuple(mark for chunk in chunks for mark in chunk.marks),
        notices=tuple(notice for chunk in chunks for notice in chunk.notices),
        takes=max(chunk.takes for chunk in chunks),
        cut=any(chunk.cut for chunk in chunks),
    )
