"""What sends the speech of an utterance to somebody, in whatever protocol."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from contextlib import aclosing

from services.contract.speech import AudioChunk
from services.gateway.live.pipeline import SentenceBegun, SentenceEnded, SentenceFailed, Sound, SpokenEvent


class Sender(ABC):
    """Sends sentence after sentence. One that fails after its beginning is ended before that is told."""

    def __init__(self) -> None:
        self.index = -1
        """The sentence that began last."""
        self.sentences = self.failed = 0

    async def send_all(self, events: AsyncGenerator[SpokenEvent, None]) -> None:
        """Send what `events` stand for, and close them; raises what they raise."""
        async with aclosing(events):
            async for event in events:
                await self._send_event(event)

    async def _send_event(self, event: SpokenEvent) -> None:
        if isinstance(event, SentenceBegun):
            self.index = event.index
            self.sentences += 1
            await self._begin(event)
        elif isinstance(event, Sound):
            await self._hear(event.chunk)
        elif isinstance(event, SentenceEnded):
            await self._end(broken_off=False)
        else:
            self.failed += 1
            if event.index == self.index:
                await self._end(broken_off=True)
            await self._refuse(event)

    @abstractmethod
    async def _begin(self, event: SentenceBegun) -> None:
        """Send that a sentence begins."""

    @abstractmethod
    async def _hear(self, chunk: AudioChunk) -> None:
        """Send some sound of it."""

    @abstractmethod
    async def _end(self, *, broken_off: bool) -> None:
        """Send what is left of it, and that it is over."""

    @abstractmethod
    async def _refuse(self, event: SentenceFailed) -> None:
        """Send that a sentence failed."""
