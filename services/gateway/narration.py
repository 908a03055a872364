"""Text read aloud: one stream of PCM, sentence after sentence, with the pauses between them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from services.contract.errors import InvalidRequest
from services.contract.speech import SAMPLE_BYTES, SpeechRequest
from services.gateway.clients import TtsClient
from services.gateway.languages import Languages
from services.gateway.sentences import split_sentences
from services.gateway.utterance import PAUSE_S


@dataclass(frozen=True)
class Narration:
    """What is to be read, and how; an empty voice is the engine's own."""

    text: str
    voice: str
    language: str
    speed: float
    sample_rate_hz: int


async def narrate(tts: TtsClient, narration: Narration) -> AsyncGenerator[bytes, None]:
    """Yield 16-bit mono PCM as the tts service speaks it.

    Raises `InvalidRequest` for text without words, and whatever the service refuses.
    """
    sentences = split_sentences(narration.text, narration.language)
    if not sentences:
        raise InvalidRequest("There is nothing to say; send at least one word.", param="input")
    languages = Languages(narration.language, narration.text)
    for number, sentence in enumerate(sentences):
        request = SpeechRequest(
            text=sentence.text,
            voice=narration.voice,
            language=languages.of(sentence.text),
            speed=narration.speed,
            sample_rate_hz=narration.sample_rate_hz,
        )
        async with tts.speak(request) as answer:
            languages.settle(sentence.text, answer.language)
            async for chunk in answer.chunks:
                yield chunk.pcm
        if number < len(sentences) - 1:
            yield silence(PAUSE_S[sentence.pause], narration.sample_rate_hz)


def silence(duration_s: float, sample_rate_hz: int) -> bytes:
    """Return so much silence as PCM."""
    return bytes(round(duration_s * sample_rate_hz) * SAMPLE_BYTES)
