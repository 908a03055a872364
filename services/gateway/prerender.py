"""Films and speaks common phrases into the cache."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing

from services.contract.errors import EngineFailed, ServiceError, Unavailable
from services.contract.speech import AUTO, Manner
from services.gateway.calling import PATIENCE_S
from services.gateway.casting import Casting
from services.gateway.clients import TtsClient
from services.gateway.narration import Narration, narrate
from services.gateway.pipeline import FilmMaker
from services.gateway.requests import VideoAsk, VideoRequest
from services.gateway.sentences import likely_language
from services.gateway.text.emotion import emotion_of, style_of

_START_PATIENCE_S = 600.0
_AGAIN_S = 2.0


async def film_for_later(casting: Casting, films: FilmMaker, request: VideoRequest) -> None:
    """Make a film for nobody; services that are still starting are waited for. Raises what filming raises."""

    async def film() -> None:
        cast = await casting.cast(VideoAsk(request))
        async with aclosing(films.film(cast.script, patience_s=PATIENCE_S)) as events:
            async for _ in events:
                pass

    await _made_once_there(film)


async def speak_for_later(tts: TtsClient, phrase: str) -> None:
    """Speak `phrase` to nobody, sentence by sentence, in the manners in which clients get it when they name none.

    A service that is still starting is waited for. Raises what speaking raises, and `EngineFailed` for what ran on.
    """

    async def speak() -> None:
        for manner in _manners(phrase):
            async with aclosing(narrate(tts, Narration(phrase, manner=manner, patience_s=PATIENCE_S))) as pieces:
                async for piece in pieces:
                    if piece.cut:
                        raise EngineFailed("it ran on and was cut.")

    await _made_once_there(speak)


def _manners(phrase: str) -> Iterator[Manner]:
    """Yield how a phrase is spoken in a film or on /v1/audio/speech, and on /synthesize, which hears its emotion."""
    plain = Manner(live=False)
    yield plain
    style = style_of(emotion_of(phrase, likely_language(phrase, AUTO)))
    if (styled := style.applied(plain)) != plain:
        yield styled


async def _made_once_there(make: Callable[[], Awaitable[None]]) -> None:
    patient_until = time.monotonic() + _START_PATIENCE_S
    while True:
        try:
            return await make()
        except ServiceError as error:
            if error.code != Unavailable.code or time.monotonic() > patient_until:
                raise
        await asyncio.sleep(_AGAIN_S)
