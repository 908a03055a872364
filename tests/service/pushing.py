"""Pushes scripted speech to a server of the tests' own."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from services.contract.errors import EngineFailed
from services.contract.push import PushState
from services.gateway.audio import encoder_for
from services.gateway.clients import SpeechAnswer
from services.gateway.narration import Piece
from services.gateway.push.delivery import Delivery
from services.gateway.push.messages import Session
from services.gateway.push.progress import Progress
from services.gateway.push.target import Target
from services.gateway.settings import GatewaySettings
from tests.service.push_server import Manners, PushServer, push_server

CHUNK_BYTES = 8_192
PIECE_BYTES = 3_840
NOISE = random.Random(5).randbytes(120_000)


async def nothing() -> AsyncGenerator[Any, None]:
    return
    yield


ANSWER = SpeechAnswer("espeak", "en", "female", "", 1, False, False, nothing())


class Speech:
    """Sound as it is spoken, and how much of it was asked for."""

    def __init__(self, pcm: bytes = NOISE, every_s: float = 0.0, breaks: bool = False) -> None:
        self.pcm = pcm
        self.spoken_bytes = 0
        self.closed = False
        self._every_s = every_s
        self._breaks = breaks

    async def pieces(self) -> AsyncGenerator[Piece, None]:
        """Yield it."""
        try:
            for start in range(0, len(self.pcm), PIECE_BYTES):
                await asyncio.sleep(self._every_s)
                piece = self.pcm[start : start + PIECE_BYTES]
                self.spoken_bytes += len(piece)
                yield Piece(piece, 0, ANSWER)
            if self._breaks:
                raise EngineFailed("The engine broke.")
        finally:
            self.closed = True

    @property
    def wav(self) -> bytes:
        """What a receiver is to have in the end."""
        return encoder_for("wav").encode(self.pcm)


def settings_for(url: str, **changes: Any) -> GatewaySettings:
    """Return settings with little patience."""
    quick: dict[str, Any] = {
        "push_websocket_url": url,
        "push_chunk_bytes": CHUNK_BYTES,
        "push_adaptive": False,
        "push_retry_s": 0.02,
        "push_ack_timeout_s": 0.5,
        "push_connect_timeout_s": 2.0,
        "push_close_timeout_s": 0.5,
    }
    return GatewaySettings.model_validate(quick | changes)


class Client:
    """Pushes, each speech for a session of its own."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._target = Target(settings)

    async def push(self, speech: Speech, request_id: str = "r1") -> PushState:
        """Deliver `speech`, and return how that went; raises what `Delivery` raises."""
        progress = Progress(request_id)
        session = Session(request_id, f"session-{request_id}", f"phone-{request_id}", "Hello, wörld \U0001f600.")
        await Delivery(self._settings, self._target, session, progress).run(speech.pieces())
        progress.complete()
        return progress.state

    async def aclose(self) -> None:
        """Return when its connections are closed."""
        await self._target.aclose()


@asynccontextmanager
async def pushing(manners: Manners, **changes: Any) -> AsyncIterator[tuple[PushServer, Client]]:
    """Give a server and who pushes to it."""
    async with push_server(manners) as server:
        client = Client(settings_for(server.url, **changes))
        try:
            yield server, client
        finally:
            await client.aclose()
