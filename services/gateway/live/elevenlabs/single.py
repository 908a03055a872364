"""One text on a connection: ElevenLabs' stream-input."""

from __future__ import annotations

import asyncio

from services.contract.errors import InvalidRequest
from services.gateway.live.elevenlabs.connection import Connection, changed
from services.gateway.live.elevenlabs.context import Context
from services.gateway.live.elevenlabs.messages import POLICY, read_message, refusal


class StreamInput(Connection):
    """Speaks one text, which ends with an empty message."""

    async def _read(self) -> None:
        context: Context | None = None
        while True:
            try:
                raw = await self._socket.receive(self._silence_s)
            except asyncio.TimeoutError as error:
                if context is not None:
                    context.finish()
                    await self._all_spoken()
                raise InvalidRequest(
                    f'Nothing was sent for {self._silence_s:g} s; send " " to keep the connection, "" to end the text.'
                ) from error
            if raw is None:
                return
            message = read_message(raw)
            context = context or self._open(message)
            if (wrong := changed(context, message)) is not None:
                await self._socket.send(refusal(wrong, POLICY))
                continue
            if message.text == "":
                context.finish()
                await self._all_spoken()
                return
            await context.take(message)
