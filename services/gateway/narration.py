"""Text read aloud: one stream of sound, sentence after sentence, with the pauses between them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from services.contract.errors import InvalidRequest
from services.contract.speech import AUTO, CODEC_FRAME_SAMPLES, SAMPLE_BYTES, Manner, SpeechRequest
from services.gateway.ahead import side_by_side
from services.gateway.clients import SpeechAnswer, TtsClient
from services.gateway.languages import Languages
from services.gateway.sentences import Pause, Sentence, split_sentences
from services.gateway.utterance import PAUSE_S

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


@dataclass(frozen=True)
class Piece:
    """Some sound of a narration, 16-bit mono at 24 kHz."""

    pcm: bytes
    sentence: int
    answer: SpeechAnswer
    """Who speaks it."""
    notices: tuple[str, ...] = ()
    """What became known of how it was made."""


async def narrate(tts: TtsClient, narration: Narration) -> AsyncGenerator[Piece, None]:
    """Yield the sound as the tts service speaks it.

    Raises `InvalidRequest` for text without words, and whatever the service refuses.
    """
    sentences = _sentences(narration)
    if not sentences:
        raise InvalidRequest("There is nothing to say; send at least one word.", param="input")
    languages = Languages(narration.language, narration.text)
    manner = narration.manner.model_copy(update={"sample_rate_hz": SPEECH_SAMPLE_RATE_HZ})

    async def spoken(number: int, sentence: Sentence) -> AsyncGenerator[Piece, None]:
        request = SpeechRequest.of(manner, sentence.text, languages.of(sentence.text))
        async with tts.speak(request) as answer:
            languages.settle(sentence.text, answer.language)
            async for chunk in answer.chunks:
                if chunk.pcm:
                    yield Piece(chunk.pcm, number, answer, chunk.notices)
            if number < len(sentences) - 1:
                yield Piece(silence(PAUSE_S[sentence.pause]), number, answer)

    async def sources() -> AsyncGenerator[AsyncGenerator[Piece, None], None]:
        for number, sentence in enumerate(sentences):
            yield spoken(number, sentence)

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


def _sentences(narration: Narration) -> list[Sentence]:
    if narration.split:
        return split_sentences(narration.text, narration.language)
    return [Sentence(narration.text.strip(), Pause.PARAGRAPH)] if narration.text.strip() else []
