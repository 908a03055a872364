"""What a speech engine is."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from services.contract.speech import AudioChunk, Generation, SpeechRequest, Voice

PATIENCE_S = 0.05
"""An engine that works longer than this without sound yields an empty chunk: there it can be closed."""


@dataclass(frozen=True)
class Reference:
    """A voice to copy."""

    digest: str
    """SHA-256 of the sound."""
    pcm: bytes
    """16-bit mono at 24 kHz, checked and levelled."""
    transcript: str = ""
    """What is said in it, word for word; empty copies the timbre alone."""


@dataclass(frozen=True)
class Utterance:
    """A request whose open questions are settled: `language` is a BCP 47 tag, `voice` one of the engine's."""

    text: str
    voice: str
    language: str
    speed: float = 1.0
    pitch: float = 1.0
    model: str = ""
    """The checkpoint that speaks, for engines that have several."""
    instruct: str = ""
    phonemes: str = ""
    """IPA to speak in place of the text."""
    reference: Reference | None = None
    generation: Generation = field(default_factory=Generation)
    seed: int | None = None
    live: bool = True
    notices: tuple[str, ...] = ()
    """What of the request has no effect with this engine, or goes another way; the caller tells it."""


class SpeechEngine(Protocol):
    """Speaks one utterance per generator. Blocking; an `EngineLane` keeps it off the event loop."""

    name: str
    revision: str
    sample_rate_hz: int
    cloning: bool
    phoneme_marks: bool
    ipa: bool
    """Whether it speaks phonemes that it is given."""

    @property
    def default_voice(self) -> str:
        """The voice of requests that name none; empty when there is no such voice."""

    def voices(self) -> Sequence[Voice]:
        """Return the voices that can be asked for."""

    def languages(self) -> Sequence[str]:
        """Return the BCP 47 tags of the languages it speaks."""

    def resolve(self, request: SpeechRequest) -> Utterance:
        """Settle language and voice without speaking; the caller adds the reference.

        Raises `InvalidRequest` for a voice, language or text the engine cannot speak.
        """

    def synthesize(self, utterance: Utterance) -> Generator[AudioChunk, None, None]:
        """Yield the speech as it is made; closing the generator stops the engine.

        Empty chunks mean nothing but that the work goes on.
        Raises `EngineFailed` when the engine breaks; the next call gets a working one.
        """

    def warm_up(self) -> None:
        """Do what makes the first request slow, such as loading weights; may raise any `ServiceError`."""

    def check(self) -> None:
        """Return when the next request would be served; raise the `ServiceError` that says why it would not."""

    def forget(self, digest: str) -> None:
        """Drop what was computed from a reference and kept."""

    def close(self) -> None:
        """Let go of processes and memory."""


@runtime_checkable
class HasCheckpoints(Protocol):
    """An engine that speaks with one of several checkpoints."""

    def checkpoints(self) -> Sequence[str]:
        """Return the names of those that are here, the preferred one first."""


def checkpoints_of(engine: SpeechEngine) -> list[str]:
    """Return the names of the checkpoints of `engine`; none where it has no choice of them."""
    return list(engine.checkpoints()) if isinstance(engine, HasCheckpoints) else []
