"""Whole speech as a WAV file."""

from __future__ import annotations

import io
import wave
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from services.contract.speech import SAMPLE_BYTES
from services.gateway.clients import SpeechAnswer
from services.gateway.narration import SPEECH_SAMPLE_RATE_HZ, Piece


@dataclass(frozen=True)
class WholeSpeech:
    """A narration that is complete."""

    pcm: bytes
    answers: tuple[SpeechAnswer, ...]
    """One for each sentence."""
    notices: tuple[str, ...]

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


def wav_file(pcm: bytes) -> bytes:
    """Return 16-bit mono PCM at 24 kHz as a WAV file."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(SAMPLE_BYTES)
        file.setframerate(SPEECH_SAMPLE_RATE_HZ)
        file.writeframes(pcm)
    return buffer.getvalue()
