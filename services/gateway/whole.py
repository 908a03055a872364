"""Whole speech."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from services.chassis.wav import wav_file
from services.gateway.clients import SpeechAnswer
from services.gateway.narration import SPEECH_SAMPLE_RATE_HZ, Piece


@dataclass(frozen=True)
class WholeSpeech:
    """A narration that is complete."""

    pcm: bytes
    answers: tuple[SpeechAnswer, ...]
    """One for each sentence."""
    notices: tuple[str, ...]

    def wav(self) -> bytes:
        """Return it as a file."""
        return wav_file(self.pcm, SPEECH_SAMPLE_RATE_HZ)

    @property
    def cached(self) -> bool:
        """Whether all of it had been spoken before."""
        return all(answer.cached for answer in self.answers)


async def whole_of(pieces: AsyncGenerator[Piece, None]) -> WholeSpeech:
    """Return the narration once it is complete."""
    sound: list[bytes] = []
    answers: dict[int, SpeechAnswer] = {}
    notices: list[str] = []
    async with aclosing(pieces):
        async for piece in pieces:
            sound.append(piece.pcm)
            answers[piece.sentence] = piece.answer
            notices += [*([piece.answer.notices] if piece.answer.notices else []), *piece.notices]
    return WholeSpeech(b"".join(sound), tuple(answers.values()), tuple(dict.fromkeys(notices)))
