"""What a call begins with: `say` of its TwiML's parameters."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator

from services.contract.errors import ServiceError
from services.gateway.clients import TtsClient
from services.gateway.copying import Copying
from services.gateway.live.journal import Journal
from services.gateway.live.tokens import Token
from services.gateway.live.turns import Utterance
from services.gateway.live.twilio.call import GREETING, Call, CallOver
from services.gateway.live.twilio.messages import CallConfig
from services.gateway.live.twilio.speaker import Speaker, speaking_of
from services.gateway.voicing import manner_of

_log = logging.getLogger(__name__)


class _Log:
    """Nobody has asked for a greeting but the TwiML: what fails stands in the log."""

    def __init__(self, sid: str) -> None:
        self._sid = sid

    async def tell(self, event: str, **fields: object) -> None:
        """Nobody is there to be told."""

    async def refuse(self, error: ServiceError, **place: object) -> None:
        """Write down that a sentence failed."""
        _log.warning("call %s: the greeting fails: %s", self._sid, error.detail)


async def greet(call: Call, tts: TtsClient, copying: Copying, at_once: int) -> None:
    """Say the greeting of a call, where there is one."""
    sid, parameters = call.start.stream_sid, call.start.custom_parameters
    if not (text := parameters.get("say", "")):
        return
    listener = _Log(sid)
    try:
        config = CallConfig.of(parameters)
        speaking = speaking_of(config, await manner_of(config, await tts.engines(), copying), at_once)
        utterance = Utterance(GREETING, 0, _only(text), Journal(f"call {sid} greeting"))
        await Speaker(call, utterance, listener).speak(tts, speaking)
    except ServiceError as error:
        await listener.refuse(error)
    except CallOver:
        _log.info("call %s: it ends during the greeting", sid)


async def _only(text: str) -> AsyncGenerator[Token, None]:
    yield text
