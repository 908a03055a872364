"""What a speech engine is."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

from services.contract.speech import AudioChunk, SpeechRequest, Voice


@dataclass(frozen=True)
class Utterance:
    """A request whose open questions are settled: `language` is a BCP 47 tag, `voice` one of the engine's."""

    text: str
    voice: str
    language: str
    speed: float = 1.0
    pitch: float = 1.0


class SpeechEngine(Protocol):
    """Speaks one utterance at a time. Blocking; an `EngineLane` keeps it off the event loop."""

    name: str
    revision: str
    sample_rate_hz: int
    cloning: bool
    phoneme_marks: bool
    default_voice: str

    def voices(self) -> Sequence[Voice]:
        """Return the voices that can be asked for."""

    def languages(self) -> Sequence[str]:
        """Return the BCP 47 tags of the languages it speaks."""

    def resolve(self, request: SpeechRequest) -> Utterance:
        """Settle language and voice without speaking.

        Raises `InvalidRequest` for a voice, language or text the engine cannot speak.
        """

    def synthesize(self, utterance: Utterance) -> Generator[AudioChunk, None, None]:
        """Yield the speech as it is made; closing the generator stops the engine.

        Raises `EngineFailed` when the engine breaks; the next call gets a working one.
        """

    def check(self) -> None:
        """Return when the next request would be served; raise the `ServiceError` that says why it would not."""

    def close(self) -> None:
        """Let go of processes and memory."""
