"""One connection on which text comes in and speech goes out: what all such sockets share."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Generic, Protocol

from fastapi import WebSocketDisconnect

from services.contract.errors import InvalidRequest, ServiceError, Unavailable
from services.gateway.live.messages import (
    CallerDone,
    Config,
    InputDone,
    InputFlush,
    InputText,
    Instruction,
    Interrupt,
    Respond,
    SessionClose,
    read_message,
)
from services.gateway.live.socket import BROKEN, NORMAL, LiveSocket, Stalled
from services.gateway.live.tokens import FLUSH, Token
from services.gateway.live.turns import Turns, Utterance, Writing
from services.gateway.llm import Answer, ChatMessage, LanguageModel

_log = logging.getLogger(__name__)

_CONFIGURED_WITHIN_S = 10.0


class Performer(Protocol):
    """Speaks utterances to one client."""

    async def run(self) -> None:
        """Do what goes on beside the utterances; cancelled at the end of the session."""

    async def perform(self, utterance: Utterance) -> None:
        """Send all of an utterance; cancelled where it is interrupted."""

    def interrupt(self) -> dict[str, object]:
        """Stop what was given already, and return what was sent last."""


def told_of(answer: Answer) -> dict[str, object]:
    """Return what is told of an answer that is over: all that was said, and what broke it off."""
    told: dict[str, object] = {"text": answer.text, "status": "failed" if answer.failure else "completed"}
    if answer.failure is not None:
        told["error"] = {"code": answer.failure.code, "message": answer.failure.detail}
    return told


class LiveSession(Generic[Config]):
    """Reads what a client says and has it done, until either side closes."""

    def __init__(
        self,
        socket: LiveSocket,
        performer: Performer,
        config: type[Config],
        configure: Callable[[Config], Awaitable[None]],
        silence_s: float,
        model: LanguageModel | None = None,
    ) -> None:
        """`configure` takes the configuration. After `silence_s` without a message the connection is closed.

        The language `model` answers messages, where there is one.
        """
        self._socket = socket
        self._performer = performer
        self._config = config
        self._configure = configure
        self._silence_s = silence_s
        self._model = model
        self._configured = False
        self._turns = Turns("live", performer.perform)
        self._writing = Writing(self._turns)

    async def run(self) -> None:
        """Serve the client until the end."""
        speaking = asyncio.create_task(self._turns.run())
        reading = asyncio.create_task(self._read())
        beside = asyncio.create_task(self._performer.run())
        tasks = {speaking, reading, beside}
        try:
            while not speaking.done():
                done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                # What broke is raised; a reader that returns False has seen the client leave.
                if False in [task.result() for task in done]:
                    return
            await self._socket.close()
        except (WebSocketDisconnect, Stalled) as error:
            _log.info("a live session ends: %s", type(error).__name__)
            await self._socket.close(BROKEN, "nothing is read there")
        except ServiceError as error:
            _log.warning("a live session ends: %s", error.detail)
            await self._socket.refuse(error)
            await self._socket.close(BROKEN, error.detail)
        finally:
            for task in (reading, speaking, beside):
                task.cancel()
            await asyncio.gather(reading, speaking, beside, return_exceptions=True)

    async def _read(self) -> bool:
        """Do what the client says until it wants no more; return False when it has left, or is sent away."""
        while True:
            try:
                raw = await self._socket.receive(self._silence_s if self._configured else _CONFIGURED_WITHIN_S)
            except asyncio.TimeoutError:
                await self._socket.refuse(InvalidRequest("Nothing was sent for too long; connect again."))
                await self._socket.close(NORMAL, "silence")
                return False
            if raw is None:
                return False
            try:
                if not await self._do(read_message(raw, self._config)):
                    return True
            except ServiceError as error:
                await self._socket.refuse(error)
                if not self._configured:
                    await self._socket.close(NORMAL, error.detail)
                    return False

    async def _do(self, message: Config | Instruction) -> bool:
        """Do what a message says; return whether more may follow."""
        if isinstance(message, self._config):
            if self._writing.open:
                raise InvalidRequest("session.config: an utterance is being written; send input.done first.")
            await self._configure(message)
            self._configured = True
        elif not self._configured:
            raise InvalidRequest('The first message is {"type": "session.config"}.')
        elif isinstance(message, InputText):
            await self._writing.write(message.text)
        elif isinstance(message, InputFlush):
            await self._writing.write(FLUSH)
        elif isinstance(message, InputDone):
            await self._writing.end()
        elif isinstance(message, CallerDone):
            (await self._writing.begin()).journal.begin()
        elif isinstance(message, Interrupt):
            await self._interrupt()
        elif isinstance(message, Respond):
            await self._respond(message.messages)
        elif isinstance(message, SessionClose):
            self._turns.finish()
            return False
        return True

    async def _respond(self, messages: list[ChatMessage]) -> None:
        """Have the language model answer, and speak what it says."""
        if self._model is None:
            raise Unavailable("No language model is configured here (LLM_BASE_URL).")
        if self._writing.open:
            raise InvalidRequest("respond: an utterance is being written; send input.done first.")
        answer, generation = Answer(self._model.answer(messages)), self._turns.generation

        async def tokens() -> AsyncGenerator[Token, None]:
            async with aclosing(answer.tokens()) as written:
                async for token in written:
                    await self._socket.send({"type": "response.text.delta", "delta": token}, generation=generation)
                    yield token
            await self._socket.send({"type": "response.text.done", **told_of(answer)}, generation=generation)

        await self._turns.say(tokens())

    async def _interrupt(self) -> None:
        self._socket.generation += 1
        told = self._performer.interrupt()
        await self._turns.interrupt()
        await self._socket.send({"type": "interrupted", "generation": self._socket.generation, **told})
