"""The speech of one text on its way to a client: sound in base64, and when each letter is heard."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping

from anyio import to_thread

from services.contract.speech import SAMPLE_BYTES, AudioChunk
from services.gateway.live.elevenlabs.alignment import SentenceAlignment, Track
from services.gateway.live.elevenlabs.formats import Output
from services.gateway.live.elevenlabs.messages import refusal
from services.gateway.live.journal import Journal
from services.gateway.live.pipeline import SentenceBegun, SentenceFailed
from services.gateway.live.sender import Sender
from services.gateway.live.socket import BROKEN

Tell = Callable[[Mapping[str, object]], Awaitable[None]]
"""Sends a message to the client."""

_LONGEST_S = 1.0
"""Sound of one message: clients refuse messages of a mebibyte."""

_KEPT_S = 0.02
"""Held back until a sentence is over, so that the letters that are known then come with sound, too."""


class Delivery(Sender):
    """Sends what a pipeline gives; `together` holds sound back until the words in it are known."""

    def __init__(self, output: Output, tell: Tell, journal: Journal, *, together: bool) -> None:
        super().__init__()
        self._output = output
        self._tell = tell
        self._journal = journal
        self._together = together
        self._encoder = output.encoder()
        self._written, self._spoken = Track(), Track()
        self._sentence: SentenceAlignment | None = None
        self._begins_s = self._pause_s = 0.0
        self._held = bytearray()
        self._passed = 0
        """Samples that were given to the encoder."""

    async def finish(self) -> None:
        """Send what is left, and that it was all."""
        if rest := await to_thread.run_sync(self._encoder.finish):
            await self._send(rest, self._heard_s)
        await self._tell({"audio": None, "isFinal": True})

    @property
    def _heard_s(self) -> float:
        return (self._passed + len(self._held) // SAMPLE_BYTES) / self._output.sample_rate_hz

    async def _begin(self, event: SentenceBegun) -> None:
        self._be_silent()
        self._pause_s = event.line.pause_s
        self._begins_s = self._heard_s
        self._sentence = SentenceAlignment(event.line.text, self._written, self._spoken)
        self._journal.note("sending started", event.index)

    async def _hear(self, chunk: AudioChunk) -> None:
        assert self._sentence is not None
        self._held += chunk.pcm
        for mark in chunk.marks:
            if mark.kind == "word":
                self._sentence.add(mark.shifted(self._begins_s))
        await self._pass_on(self._written.end_s if self._together else self._heard_s - _KEPT_S)

    async def _end(self, *, broken_off: bool) -> None:
        assert self._sentence is not None
        if broken_off:
            self._sentence.break_off(self._heard_s)
        else:
            self._sentence.finish(self._heard_s)
        if self._output.coded:
            self._be_silent()  # which pushes the end of the sentence out of the encoder
        await self._pass_on(self._heard_s)
        if self._has_letters(self._heard_s):
            await self._send(b"", self._heard_s)
        self._journal.note("sent", self.index)

    async def _refuse(self, event: SentenceFailed) -> None:
        await self._tell(refusal(event.error, BROKEN))

    def _be_silent(self) -> None:
        """Pause for as long as the last sentence wants."""
        self._held += AudioChunk.silence(self._pause_s, self._output.sample_rate_hz).pcm
        self._pause_s = 0.0

    async def _pass_on(self, until_s: float) -> None:
        """Send sound up to a moment, and the letters that are known."""
        rate_hz = self._output.sample_rate_hz
        until = min(round(until_s * rate_hz), self._passed + len(self._held) // SAMPLE_BYTES)
        while (samples := min(until - self._passed, round(_LONGEST_S * rate_hz))) > 0:
            pcm = bytes(self._held[: samples * SAMPLE_BYTES])
            del self._held[: samples * SAMPLE_BYTES]
            self._passed += samples
            if data := await self._encoded(pcm):
                await self._send(data, (self._passed + 0.5) / rate_hz)

    async def _encoded(self, pcm: bytes) -> bytes:
        if self._output.coded:  # that is work, and the event loop has other clients
            return await to_thread.run_sync(self._encoder.encode, pcm)
        return self._encoder.encode(pcm)

    async def _send(self, data: bytes, until_s: float) -> None:
        """Send sound, and the letters that end by `until_s`."""
        message: dict[str, object] = {"audio": base64.b64encode(data).decode(), "isFinal": None}
        message |= {"normalizedAlignment": None, "alignment": None}
        if self._has_letters(until_s):
            message["normalizedAlignment"] = self._spoken.take(until_s)
            message["alignment"] = self._written.take(until_s)
        await self._tell(message)

    def _has_letters(self, until_s: float) -> bool:
        """Whether both alignments go on: clients take the one where the other is missing, and would mix them."""
        return self._written.has(until_s) and self._spoken.has(until_s)
