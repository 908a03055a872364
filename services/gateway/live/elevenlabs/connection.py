"""One connection of an ElevenLabs client: what both of its sockets share."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress

from fastapi import WebSocketDisconnect

from services.chassis.ending import end_tasks
from services.contract.errors import InvalidRequest, ServiceError
from services.gateway.clients import TtsClient
from services.gateway.live.elevenlabs.context import Context, Voicing
from services.gateway.live.elevenlabs.messages import POLICY, ClientMessage, refusal
from services.gateway.live.socket import BROKEN, LiveSocket, Stalled

_log = logging.getLogger(__name__)


class Connection:
    """Serves one client until either side closes."""

    def __init__(self, socket: LiveSocket, tts: TtsClient, voicing: Voicing, silence_s: float) -> None:
        """`silence_s` is how long nothing may be said."""
        self._socket = socket
        self._tts = tts
        self._voicing = voicing
        self._silence_s = silence_s
        self._speaking: set[asyncio.Task[None]] = set()
        self._reading: asyncio.Task[None] | None = None
        self._broken: BaseException | None = None

    async def run(self) -> None:
        """Serve the client until the end."""
        self._reading = asyncio.create_task(self._read())
        try:
            await asyncio.wait([self._reading])
            if self._broken is not None:
                raise self._broken
            self._reading.result()
            await self._socket.close()
        except (WebSocketDisconnect, Stalled) as error:
            _log.info("a connection ends: %s", type(error).__name__)
            await self._socket.close(BROKEN, "nothing is read there")
        except ServiceError as error:
            await send_away(self._socket, error)
        finally:
            await end_tasks(self._reading, *self._speaking)

    async def _read(self) -> None:
        """Do what the client says until it wants no more, or has left."""
        raise NotImplementedError

    def _open(
        self, first: ClientMessage, told: Mapping[str, object] | None = None, before: Context | None = None
    ) -> Context:
        """Begin a text; `told` stands in all that is sent of it."""

        async def tell(message: Mapping[str, object]) -> None:
            await self._socket.send({**message, **(told or {})})

        context = Context(first.context_id or "", self._tts, self._voicing, first, tell, before)
        self._speaking.add(context.speaking)
        context.speaking.add_done_callback(self._ended)
        return context

    async def _all_spoken(self) -> None:
        if self._speaking:
            await asyncio.wait(list(self._speaking))

    def _ended(self, speaking: asyncio.Task[None]) -> None:
        self._speaking.discard(speaking)
        if not speaking.cancelled() and (error := speaking.exception()) is not None:
            assert self._reading is not None
            self._broken = error
            self._reading.cancel()


def changed(context: Context, message: ClientMessage) -> InvalidRequest | None:
    """Return what is wrong with a message that changes the settings of a text, if it does."""
    if message.voice_settings is None or message.voice_settings.speed == context.speed:
        return None
    return InvalidRequest("voice_settings: they stay as the first message has them; begin another text.")


async def send_away(socket: LiveSocket, error: ServiceError) -> None:
    """Tell a client why it is not served, and close the connection."""
    with suppress(WebSocketDisconnect, Stalled):
        await socket.send(refusal(error, POLICY))
    await socket.close(POLICY, error.detail)
