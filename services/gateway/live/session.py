"""One connection on which text comes in and speech goes out: what all such sockets share."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Generic, Protocol

from fastapi import WebSocketDisconnect

from services.chassis.ending import end_tasks
from services.contract.errors import InvalidRequest, ServiceError, Unavailable
from services.gateway.live.messages import (
    CallerDone,
    Config,
    InputDone,
    InputFlush,
    InputText,
    Instruction,
    Interrupt,
    Ping,
    Respond,
    SessionClose,
    read_message,
)
from services.gateway.live.socket import BROKEN, NORMAL, LiveSocket, Stalled
from services.gateway.live.tokens import FLUSH, Token
from services.gateway.live.turns import Perform, Turns, Writing
from services.gateway.llm import Answer, ChatMessage, LanguageModel

_log = logging.getLogger(__name__)

_CONFIGURED_WITHIN_S = 10.0


class Performer(Protocol):
    """Speaks utterances to one client."""

    async def run(self) -> None:
        """Do what goes on beside the utterances; cancelled at the end of the session."""

    def performance(self) -> Perform:
        """Return what sends an utterance, as it is configured now; cancelled where it is interrupted."""

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
        self._configured = self._closing = False
        self._turns = Turns("live", performer.performance)
        self._writing = Writing(self._turns)

    async def run(self) -> None:
        """Serve the client until the end."""
        try:
            if await self._serve():
                await self._socket.close()
        except (WebSocketDisconnect, Stalled) as error:
            _log.info("a live session ends: %s", type(error).__name__)
            await self._socket.close(BROKEN, "nothing is read there")
        except ServiceError as error:
            _log.warning("a live session ends: %s", error.detail)
            with suppress(WebSocketDisconnect, Stalled):
                await self._socket.refuse(error)
            await self._socket.close(BROKEN, error.detail)

    async def _serve(self) -> bool:
        """Return once all is spoken, or False when the client has left; all work has ended then.

        What broke is raised.
        """
        speaking = asyncio.create_task(self._turns.run())
        reading = asyncio.create_task(self._read())
        beside = asyncio.create_task(self._performer.run())
        tasks = {speaking, reading, beside}
        try:
            while not (speaking.done() or reading.done()):
                done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    if not task.cancelled():
                        task.result()
            return not reading.done()
        finally:
            await end_tasks(reading, speaking, beside)

    async def _read(self) -> None:
        """Do what the client says until it has left, or is sent away."""
        while True:
            try:
                raw = await self._socket.receive(self._silence_s if self._configured else _CONFIGURED_WITHIN_S)
            except asyncio.TimeoutError:
                if self._writing.open:  # who has written nothing for so long has finished
                    await self._writing.end()
                    continue
                if self._turns.busy:
                    continue
                await self._socket.refuse(InvalidRequest("Nothing was sent for too long; connect again."))
                await self._socket.close(NORMAL, "silence")
                return
            if raw is None:
                return
            try:
                await self._do(read_message(raw, self._config))
            except ServiceError as error:
                await self._socket.refuse(error)
                if not self._configured:
                    await self._socket.close(NORMAL, error.detail)
                    return

    async def _do(self, message: Config | Instruction) -> None:
        """Do what a message says."""
        if isinstance(message, Ping):
            await self._socket.send({"type": "pong"})
        elif self._closing and not isinstance(message, Interrupt):
            return  # what follows a farewell is not answered
        elif isinstance(message, self._config):
            if self._writing.open:
                raise InvalidRequest("session.config: an utterance is being written; send input.done first.")
            await self._configure(message)
            self._configured = True
            await self._warn(message)
        elif not self._configured:
            raise InvalidRequest('The first message is {"type": "session.config"}.')
        elif isinstance(message, InputText):
            await self._writing.write(message.text)
        elif isinstance(message, InputFlush):
            await self._writing.write(FLUSH)
        elif isinstance(message, InputDone):
            await self._writing.end()
        elif isinstance(message, CallerDone):
            self._turns.caller_done()
        elif isinstance(message, Interrupt):
            await self._interrupt()
        elif isinstance(message, Respond):
            await self._respond(message.messages)
        elif isinstance(message, SessionClose):
            if self._writing.open:
                await self._writing.end()
            self._turns.finish()
            self._closing = True

    async def _warn(self, config: Config) -> None:
        """Tell which fields of a configuration have no effect."""
        if names := config.unknown:
            told = f"session.config: without effect here: {', '.join(names)}."
            await self._socket.send({"type": "warning", "message": told, "params": names})

    async def _respond(self, messages: list[ChatMessage]) -> None:
        """Have the language model answer, and speak what it says."""
        if self._model is None:
            raise Unavailable("No language model is configured here (LLM_BASE_URL).")
        if self._writing.open:
            raise InvalidRequest("respond: an utterance is being written; send input.done first.")
        answer, generation = Answer(self._model.answer(messages)), self._turns.generation
        place = {"utterance_index": self._turns.following, "generation": generation}

        async def tell(event: str, **fields: object) -> None:
            await self._socket.send({"type": event, **place, **fields}, generation=generation)

        async def tokens() -> AsyncGenerator[Token, None]:
            async with aclosing(answer.tokens()) as written:
                async for token in written:
                    await tell("response.text.delta", delta=token)
                    yield token
            await tell("response.text.done", **told_of(answer))

        await self._turns.say(tokens())

    async def _interrupt(self) -> None:
        self._socket.generation += 1
        told = self._performer.interrupt()
        await self._turns.interrupt()
        await self._socket.send({"type": "interrupted", "generation": self._socket.generation, **told})
