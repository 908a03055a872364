"""Text read aloud: one stream of sound, sentence after sentence, with the pauses between them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from functools import partial

from anyio import to_thread

from services.contract.errors import InvalidRequest
from services.contract.speech import AUTO, CODEC_FRAME_SAMPLES, SAMPLE_BYTES, Manner
from services.gateway.ahead import side_by_side
from services.gateway.calling import PATIENCE_S
from services.gateway.clients import SpeechAnswer, TtsClient
from services.gateway.languages import Languages
from services.gateway.lines import Line, lines_of
from services.gateway.reader import Reader
from services.gateway.sentences import LONGEST_SENTENCE_CHARS

SPEECH_SAMPLE_RATE_HZ = 24_000
"""Rate of every answer; `pcm` clients count on it."""

_CHUNKS_AHEAD = 64


@dataclass(frozen=True)
class Narration:
    """What is to be read, and how."""

    text: str
    language: str = AUTO
    manner: Manner = field(default_factory=Manner)
    split: bool = True
    """Whether to speak sentence by sentence; otherwise the whole text is one utterance."""
    at_once: int = 1
    """Sentences that are spoken side by side."""
    patience_s: float = 0.0
    """How long it waits for a lane before its first sentence."""
    longest_chars: int = LONGEST_SENTENCE_CHARS
    """Characters of a sentence from which on it is cut at its clauses."""


@dataclass(frozen=True)
class Piece:
    """Some sound of a narration, 16-bit mono at 24 kHz."""

    pcm: bytes
    sentence: int
    answer: SpeechAnswer
    """Who speaks it."""
    notices: tuple[str, ...] = ()
    """What became known of how it was made."""
    cut: bool = False
    """Whether it ran on and was cut off."""


async def narrate(tts: TtsClient, narration: Narration) -> AsyncGenerator[Piece, None]:
    """Yield the sound as the tts service speaks it.

    Raises `InvalidRequest` for text without words, and whatever the service refuses.
    """
    lines_there = partial(lines_of, split=narration.split, longest_chars=narration.longest_chars)
    lines = await to_thread.run_sync(lines_there, narration.text, narration.language)
    if not lines:
        raise InvalidRequest("text: there is nothing to say; send at least one word.", param="text")
    manner = narration.manner.model_copy(update={"sample_rate_hz": SPEECH_SAMPLE_RATE_HZ})
    reader = Reader(tts, manner, Languages(narration.language, narration.text))

    async def spoken(number: int, line: Line) -> AsyncGenerator[Piece, None]:
        # Side by side, a later sentence may have taken the lane that the first one needs.
        patience_s = PATIENCE_S if number or narration.at_once > 1 else narration.patience_s
        async with reader.speak(number, line, patience_s) as answer:
            if line.lead_s:
                yield Piece(silence(line.lead_s), number, answer)
            async for chunk in answer.chunks:
                if chunk.pcm:
                    yield Piece(chunk.pcm, number, answer, chunk.notices, chunk.cut)
            if number < len(lines) - 1 and line.pause_s:
                yield Piece(silence(line.pause_s), number, answer)

    async def sources() -> AsyncGenerator[AsyncGenerator[Piece, None], None]:
        for number, line in enumerate(lines):
            yield spoken(number, line)

    pieces = side_by_side(sources(), narration.at_once, _CHUNKS_AHEAD)
    try:
        async for piece in pieces:
            yield piece
    finally:
        await pieces.aclose()


def silence(duration_s: float) -> bytes:
    """Return about so much silence as PCM: whole frames of 80 ms, as codecs count speech."""
    frames = max(1, round(duration_s * SPEECH_SAMPLE_RATE_HZ / CODEC_FRAME_SAMPLES))
    return bytes(frames * CODEC_FRAME_SAMPLES * SAMPLE_BYTES)
