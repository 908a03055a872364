"""Films common phrases into the cache."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing

from services.contract.errors import ServiceError, Unavailable
from services.gateway.calling import PATIENCE_S
from services.gateway.casting import Casting
from services.gateway.pipeline import FilmMaker
from services.gateway.requests import VideoAsk, VideoRequest

_START_PATIENCE_S = 600.0
_AGAIN_S = 2.0


async def film_for_later(casting: Casting, films: FilmMaker, request: VideoRequest) -> None:
    """Make a film for nobody; services that are still starting are waited for. Raises what filming raises."""
    patient_until = time.monotonic() + _START_PATIENCE_S
    while True:
        try:
            cast = await casting.cast(VideoAsk(request))
            async with aclosing(films.film(cast.script, patience_s=PATIENCE_S)) as events:
                async for _ in events:
                    pass
            return
        except ServiceError as error:
            if error.code != Unavailable.code or time.monotonic() > patient_until:
                raise
        await asyncio.sleep(_AGAIN_S)
