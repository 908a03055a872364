"""Several texts on one connection, spoken side by side: ElevenLabs' multi-stream-input."""

from __future__ import annotations

import asyncio
import time

from services.contract.errors import InvalidRequest, ServiceError, TooManyRequests
from services.gateway.clients import TtsClient
from services.gateway.live.elevenlabs.connection import Connection, changed
from services.gateway.live.elevenlabs.context import Context, Voicing
from services.gateway.live.elevenlabs.messages import POLICY, ClientMessage, read_message, refusal
from services.gateway.live.socket import LiveSocket

MOST_CONTEXTS = 5
"""Contexts open at once on a connection, as at ElevenLabs."""

_DEFAULT = "default"
"""The context of messages that name none."""


class MultiStreamInput(Connection):
    """Speaks the texts of all contexts, each by itself."""

    def __init__(self, socket: LiveSocket, tts: TtsClient, voicing: Voicing, silence_s: float) -> None:
        """`silence_s` is how long nothing may be said to a context, or to the connection where none is open."""
        super().__init__(socket, tts, voicing, silence_s)
        self._contexts: dict[str, Context] = {}
        self._closing: dict[str, Context] = {}
        self._heard_at = time.monotonic()

    async def _read(self) -> None:
        while True:
            try:
                raw = await self._socket.receive(self._patience_s())
            except asyncio.TimeoutError:
                self._close_silent()
                continue
            if raw is None:
                return
            self._heard_at = time.monotonic()
            message = read_message(raw)
            if message.close_socket:
                break
            await self._do(message)
        for context in self._contexts.values():
            context.finish()
        await self._all_spoken()

    async def _do(self, message: ClientMessage) -> None:
        name = message.context_id or _DEFAULT
        if message.close_context:
            self._close(name)
            return
        context = self._contexts.get(name)
        if context is None:
            if not message.text:
                return  # there is nothing to flush or to keep
            if len(self._contexts) >= MOST_CONTEXTS:
                await self._refuse(name, TooManyRequests(f"{MOST_CONTEXTS} contexts are open; close one of them."))
                return
            context = await self._begin(name, message)
        elif (wrong := changed(context, message)) is not None:
            await self._refuse(name, wrong)
            return
        context.heard_at = self._heard_at
        await context.take(message)

    async def _begin(self, name: str, first: ClientMessage) -> Context:
        # Those that were closed and still speak are work as well: who opens and closes without end waits.
        while len(self._speaking) >= 2 * MOST_CONTEXTS:
            await asyncio.wait(list(self._speaking), return_when=asyncio.FIRST_COMPLETED)
        named = first.model_copy(update={"context_id": name})
        self._contexts[name] = self._open(named, {"contextId": name}, self._closing.pop(name, None))
        return self._contexts[name]

    def _close(self, name: str) -> None:
        """Close a context. One that was closed before is interrupted while it is flushed: then that ends, too."""
        context = self._contexts.get(name) or self._closing.get(name)
        if context is not None:
            context.close()
            self._retire(name, context)

    def _retire(self, name: str, context: Context) -> None:
        """Let the name of a context go, which has yet to be spoken to its end."""
        self._contexts.pop(name, None)
        self._closing = {name: old for name, old in self._closing.items() if not old.speaking.done()} | {name: context}

    def _patience_s(self) -> float:
        """Return for how long nothing may be said until somebody has been silent for too long."""
        oldest = min((context.heard_at for context in self._contexts.values()), default=self._heard_at)
        return max(0.0, oldest + self._silence_s - time.monotonic())

    def _close_silent(self) -> None:
        """End the texts that nothing was added to for too long; raises `InvalidRequest` where there is none."""
        now = time.monotonic()
        if not self._contexts and not self._speaking:
            raise InvalidRequest(f"Nothing was sent for {self._silence_s:g} s; connect again.")
        for name, context in list(self._contexts.items()):
            if context.heard_at + self._silence_s <= now:
                context.finish()
                self._retire(name, context)
        self._heard_at = now

    async def _refuse(self, name: str, error: ServiceError) -> None:
        await self._socket.send({**refusal(error, POLICY), "contextId": name})
