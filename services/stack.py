"""The whole product in one process: three real servers on loopback, the same REST code as on many machines."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass

from services.chassis.server import serve, until_signal
from services.gateway.app import create_app as create_gateway
from services.gateway.settings import GatewaySettings
from services.tts.app import create_app as create_tts
from services.tts.settings import TtsSettings

_log = logging.getLogger(__name__)

_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Engines:
    """Where the two inner services listen; the second nowhere, where no films are made."""

    tts_url: str
    avatar_url: str = ""


@dataclass(frozen=True)
class WarmUp:
    """An avatar, empty for the first there is, and the frames it will be asked for."""

    avatar: str = ""
    width: int = 512
    height: int = 512


@asynccontextmanager
async def engine_services(warm: WarmUp | None = None, *, video: bool = True) -> AsyncIterator[Engines]:
    """Serve tts and, for `video`, avatar on free loopback ports until the block ends.

    An avatar to `warm` up is prepared while the speech engine is still loading.
    """
    tts = TtsSettings(host=_LOOPBACK, port=0)
    servers: list[AbstractAsyncContextManager[str]] = [serve(create_tts(tts), tts)]
    if video:
        servers.append(_avatar_service(warm))
    async with _together(*servers) as urls:
        yield Engines(*urls)


def _avatar_service(warm: WarmUp | None) -> AbstractAsyncContextManager[str]:
    """Return the server of avatar. Imported here: where no films are made, nothing that makes them need be there."""
    from services.avatar.app import create_app as create_avatar
    from services.avatar.settings import AvatarSettings
    from services.avatar.warming import FIRST

    avatar = AvatarSettings(host=_LOOPBACK, port=0)
    if warm is not None:
        chosen = {"warm_avatar": warm.avatar or FIRST, "warm_width": warm.width, "warm_height": warm.height}
        avatar = avatar.model_copy(update=chosen)
    return serve(create_avatar(avatar), avatar)


@asynccontextmanager
async def embedded_stack(settings: GatewaySettings) -> AsyncIterator[str]:
    """Serve everything until the block ends, the gateway where `settings` say, and yield its URL.

    The gateway stops first, so that work in flight still finds the services it needs.
    """
    async with engine_services(WarmUp(settings.default_avatar), video=settings.enable_video) as engines:
        settings = settings.model_copy(update=asdict(engines))
        async with serve(create_gateway(settings), settings) as url:
            yield url


@asynccontextmanager
async def _together(*servers: AbstractAsyncContextManager[str]) -> AsyncIterator[list[str]]:
    """Start `servers` side by side, yield their URLs, and stop them side by side, which takes half as long."""
    stops = [AsyncExitStack() for _ in servers]
    try:
        starts = (stop.enter_async_context(server) for stop, server in zip(stops, servers, strict=True))
        started = await asyncio.gather(*starts, return_exceptions=True)  # so that each is settled, however it went
        for failure in started:
            if isinstance(failure, BaseException):
                raise failure
        yield [url for url in started if isinstance(url, str)]
    finally:
        await asyncio.gather(*(stop.aclose() for stop in stops))


async def run_until_signal(settings: GatewaySettings) -> None:
    """Serve everything until SIGINT or SIGTERM, then finish what is in flight."""
    async with embedded_stack(settings) as url:
        _log.info("Talkie is at %s", url)
        await until_signal()
