"""One text that is spoken while it is written, by itself: what ElevenLabs calls a context."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from services.contract.errors import ServiceError
from services.contract.speech import Manner
from services.gateway.clients import TtsClient
from services.gateway.live.cut import Cut
from services.gateway.live.elevenlabs.delivery import Delivery, Tell
from services.gateway.live.elevenlabs.formats import Output
from services.gateway.live.elevenlabs.messages import ClientMessage, refusal
from services.gateway.live.journal import Journal
from services.gateway.live.pipeline import Speaking, speak_tokens
from services.gateway.live.socket import BROKEN
from services.gateway.live.tokens import FLUSH, TokenFeed
from services.gateway.sentences import has_words


@dataclass(frozen=True)
class Voicing:
    """How all texts of a connection are spoken."""

    manner: Manner
    language: str
    output: Output
    at_once: int
    """Sentences of one text that are spoken side by side."""
    auto_mode: bool = False
    together: bool = False

    def speaking(self, speed: float) -> Speaking:
        """Return how one of them is."""
        manner = self.manner.model_copy(update={"speed": speed, "sample_rate_hz": self.output.sample_rate_hz})
        return Speaking(manner, self.language, at_once=self.at_once)


class Context:
    """Speaks its text as it is written; `speaking` is done when all was sent."""

    def __init__(
        self, name: str, tts: TtsClient, voicing: Voicing, first: ClientMessage, tell: Tell, before: Context | None
    ) -> None:
        """`first` may hold settings. `before` had the same name: what was flushed of it is heard before this one."""
        self._tts = tts
        self._voicing = voicing
        self._tell = tell
        self._journal = Journal(f"context {name!r}")
        self._feed = TokenFeed()
        self._cut = Cut()
        self._closed = False
        self._flushes = self._kept = 0
        """How often it was flushed, and how often by the last time that the client asked for it."""
        self.speed = first.voice_settings.speed if first.voice_settings else 1.0
        self.heard_at = 0.0
        """When a message came for it last."""
        self.speaking = asyncio.create_task(self._speak(before))

    async def take(self, message: ClientMessage) -> None:
        """Go on with the text; returns once there is room for more."""
        if message.text:
            await self._feed.write(message.text)
        if message.flush or (self._voicing.auto_mode and has_words(message.text or "")):
            self._flushes += 1
            self._kept = self._flushes if message.flush else self._kept
            await self._feed.write(FLUSH)

    def finish(self) -> None:
        """Say that all is written."""
        self._feed.end()

    def close(self) -> None:
        """Say that no more is wanted than what was flushed; said again, that not even that is."""
        self._journal.note("closed")
        self._cut.after(0 if self._closed else self._kept)
        self._closed = True
        self._feed.end()

    async def _speak(self, before: Context | None) -> None:
        if before is not None:
            await asyncio.wait([before.speaking])
        delivery = Delivery(self._voicing.output, self._tell, self._journal, together=self._voicing.together)
        speaking = self._voicing.speaking(self.speed)
        try:
            await delivery.send_all(speak_tokens(self._tts, self._feed, speaking, self._journal, self._cut))
        except ServiceError as error:
            await self._tell(refusal(error, BROKEN))
        await delivery.finish()
        self._journal.note("all sent")
