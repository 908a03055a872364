"""The headers that tell how an answer's speech was made."""

from __future__ import annotations

from services.contract.headers import speech_headers
from services.gateway.clients import SpeechAnswer


def told(answer: SpeechAnswer, *notices: str) -> dict[str, str]:
    """Return the headers for speech that begins with `answer`."""
    return speech_headers(
        engine=answer.engine,
        language=answer.language,
        voice=answer.voice,
        takes=answer.takes,
        cached=answer.cached,
        copied=answer.copied,
        notices=(answer.notices, *notices),
    )
