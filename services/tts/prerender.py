"""Speaks common phrases into the cache."""

from __future__ import annotations

from contextlib import aclosing

from services.contract.errors import EngineFailed
from services.contract.speech import SpeechRequest
from services.tts.dispatch import Dispatcher


async def speak_for_later(dispatcher: Dispatcher, phrase: str) -> None:
    """Speak `phrase` to nobody; raises what speaking raises, and `EngineFailed` for what ran on."""
    speech = await dispatcher.speak(SpeechRequest(text=phrase, live=False))
    async with aclosing(speech.chunks) as chunks:
        async for chunk in chunks:
            if chunk.cut:
                raise EngineFailed("it ran on and was cut.")
