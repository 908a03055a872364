"""An application that speaks in a call."""

from __future__ import annotations

import asyncio
from dataclasses import asdict

from services.contract.errors import ServiceError
from services.contract.speech import Manner
from services.gateway.clients import TtsClient
from services.gateway.live.pipeline import Speaking
from services.gateway.live.said import Said
from services.gateway.live.socket import LiveSocket
from services.gateway.live.turns import Perform, Utterance
from services.gateway.live.twilio.call import Call, CallEvents, CallOver
from services.gateway.live.twilio.messages import CallConfig
from services.gateway.live.twilio.speaker import Speaker, speaking_of


class CallPerformer:
    """Speaks the utterances of an application into a call, and tells it what happens there."""

    def __init__(self, socket: LiveSocket, call: Call, events: CallEvents, tts: TtsClient, at_once: int) -> None:
        """`socket` is the application's."""
        self._socket = socket
        self._call = call
        self._events = events
        self._tts = tts
        self._at_once = at_once
        self._config = CallConfig()
        self._manner = Manner()

    def configure(self, config: CallConfig, manner: Manner) -> None:
        """Speak so from the next utterance on."""
        self._config, self._manner = config, manner
        self._events.caller_audio = config.caller_audio

    async def run(self) -> None:
        """Tell what happens in the call, until it is over; then the application is sent away."""
        start = self._call.start
        parameters = start.custom_parameters
        sids = {"stream_sid": start.stream_sid, "call_sid": start.call_sid}
        await self._socket.send({"type": "call.started", **sids, "parameters": parameters})
        while (event := await self._events.next()) is not None:
            await self._socket.send(event)
        await self._socket.send({"type": "call.ended", **sids})
        await self._socket.close()

    def performance(self) -> Perform:
        """Return what says an utterance, after the greeting."""
        speaking = speaking_of(self._config, self._manner, self._at_once)
        return lambda utterance: self._perform(utterance, speaking)

    async def _perform(self, utterance: Utterance, speaking: Speaking) -> None:
        if self._call.greeting is not None:
            await asyncio.wait([self._call.greeting])
        if self._call.over:
            return
        self._call.said = Said()
        try:
            await Speaker(self._call, utterance, _Told(self._socket, utterance)).speak(self._tts, speaking)
        except CallOver:
            utterance.journal.note("the call is over")

    def interrupt(self) -> dict[str, object]:
        """Stop what is said; return what was sent last, and which sentence was heard last."""
        played = asdict(self._call.played) if self._call.played is not None else None
        told, self._call.said = {**self._call.said.told(), "last_played": played}, Said()
        self._call.interrupt()
        return told


class _Told:
    """Tells an application what becomes of one of its utterances."""

    def __init__(self, socket: LiveSocket, utterance: Utterance) -> None:
        self._socket = socket
        self._place = {"utterance_index": utterance.index, "generation": utterance.generation}
        self._generation = utterance.generation

    async def tell(self, event: str, **fields: object) -> None:
        """Send an event."""
        await self._socket.send({"type": event, **self._place, **fields}, generation=self._generation)

    async def refuse(self, error: ServiceError, **place: object) -> None:
        """Send that a sentence failed."""
        await self._socket.refuse(error, **self._place, **place)
