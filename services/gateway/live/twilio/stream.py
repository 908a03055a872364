"""One connection of Twilio's: a call from its start to its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from services.contract.errors import InvalidRequest, ServiceError
from services.gateway.live.socket import NORMAL, LiveSocket
from services.gateway.live.twilio.call import Call
from services.gateway.live.twilio.calls import Calls
from services.gateway.live.twilio.messages import (
    Connected,
    Heard,
    Marked,
    Pressed,
    Start,
    Started,
    Stopped,
    TwilioMessage,
    read_twilio,
)

_log = logging.getLogger(__name__)

_STARTED_WITHIN_S = 10.0
_POLICY = 1008

Greet = Callable[[Call], Coroutine[Any, Any, None]]
"""Says what a call begins with."""


class TwilioStream:
    """Follows what Twilio says."""

    def __init__(self, socket: LiveSocket, calls: Calls, greet: Greet, silence_s: float) -> None:
        """After `silence_s` without a message the call is given up."""
        self._socket = socket
        self._calls = calls
        self._greet = greet
        self._silence_s = silence_s

    async def run(self) -> None:
        """Serve a call until its end."""
        try:
            start = await self._started()
            if start is not None:
                await self._serve(Call(self._socket, start))
        except ServiceError as error:
            _log.warning("this is no stream of Twilio's: %s", error.detail)
            await self._socket.close(_POLICY, error.detail)
        else:
            await self._socket.close(NORMAL)

    async def _started(self) -> Start | None:
        """Return what begins; None where the connection is closed first."""
        while True:
            try:
                raw = await self._socket.receive(_STARTED_WITHIN_S)
            except asyncio.TimeoutError as error:
                raise InvalidRequest("Nothing was started.") from error
            if raw is None:
                return None
            message = read_twilio(raw)
            if isinstance(message, Started):
                return message.start
            if not isinstance(message, Connected):
                raise InvalidRequest(f"{message.event}: a stream begins with start.")

    async def _serve(self, call: Call) -> None:
        with self._calls.going_on(call):
            call.greeting = asyncio.create_task(self._greet(call))
            try:
                await self._follow(call)
            finally:
                await call.end()
        _log.info("call %s: over", call.start.stream_sid)

    async def _follow(self, call: Call) -> None:
        """Take what Twilio says, until the call is over."""
        unread = False
        while True:
            try:
                raw = await self._socket.receive(self._silence_s)
            except asyncio.TimeoutError:
                _log.warning("call %s: nothing was sent for %g s", call.start.stream_sid, self._silence_s)
                return
            if raw is None:
                return
            try:
                message = read_twilio(raw)
            except InvalidRequest as error:
                # A call goes on, whatever new kinds of messages there may be.
                if not unread:
                    _log.warning("call %s: not understood: %s", call.start.stream_sid, error.detail)
                unread = True
                continue
            if isinstance(message, Stopped):
                return
            _take(call, message)


def _take(call: Call, message: TwilioMessage) -> None:
    if isinstance(message, Heard):
        call.caller_said(message.media)
    elif isinstance(message, Marked):
        call.heard(message.mark.name)
    elif isinstance(message, Pressed):
        call.tell({"type": "dtmf", "digit": message.dtmf.digit})
