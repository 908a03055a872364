"""Speaks common phrases into the cache, so that they are served at once."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import aclosing

from services.contract.errors import EngineFailed, ServiceError
from services.contract.speech import SpeechRequest
from services.tts.dispatch import Dispatcher

_log = logging.getLogger(__name__)


async def prerender(dispatcher: Dispatcher, phrases: Sequence[str]) -> None:
    """Speak `phrases`, one after the other; one that fails is told and left out."""
    for number, phrase in enumerate(phrases, 1):
        try:
            await _spoken(dispatcher, phrase)
        except ServiceError as error:
            _log.warning("Not prerendered (%d/%d): %s", number, len(phrases), error.detail)
        else:
            _log.info("Prerendered (%d/%d)", number, len(phrases))
    _log.info("Prerendering completed")


async def _spoken(dispatcher: Dispatcher, phrase: str) -> None:
    speech = await dispatcher.speak(SpeechRequest(text=phrase, live=False))
    async with aclosing(speech.chunks) as chunks:
        async for chunk in chunks:
            if chunk.cut:
                raise EngineFailed("it ran on and was cut.")
