"""Says an utterance into a call: in pieces that Twilio plays, with a mark after each sentence."""

from __future__ import annotations

from typing import Protocol

from services.contract.errors import ServiceError
from services.contract.speech import AudioChunk, Manner
from services.gateway.audio import encoder_for
from services.gateway.clients import TtsClient
from services.gateway.live.pipeline import SentenceBegun, SentenceFailed, Speaking, speak_tokens
from services.gateway.live.sender import Sender
from services.gateway.live.turns import Utterance
from services.gateway.live.twilio.call import Call, Place
from services.gateway.live.twilio.messages import CALL_RATE_HZ, CallConfig

_PIECE_SAMPLES = CALL_RATE_HZ // 10
"""Samples of one message: few enough that an interruption waits for no sound on the way, yet little is overhead."""


class Listener(Protocol):
    """Whoever is told what becomes of an utterance."""

    async def tell(self, event: str, **fields: object) -> None:
        """Take an event."""

    async def refuse(self, error: ServiceError, **place: object) -> None:
        """Take that a sentence failed."""


def speaking_of(config: CallConfig, manner: Manner, at_once: int) -> Speaking:
    """Return how to speak into a call; `at_once` sentences side by side."""
    at_call_rate = manner.model_copy(update={"sample_rate_hz": CALL_RATE_HZ})
    return Speaking(at_call_rate, config.language, config.split_granularity, at_once)


class Speaker(Sender):
    """Says one utterance."""

    def __init__(self, call: Call, utterance: Utterance, listener: Listener) -> None:
        super().__init__()
        self._call = call
        self._generation = call.generation
        self._utterance = utterance
        self._listener = listener
        self._encoder = encoder_for("ulaw", CALL_RATE_HZ)
        self._place = Place(utterance.index, -1)
        self._lead_s = self._pause_s = 0.0
        self._sent = 0
        """Samples of the sentence that were sent, the silence before it among them."""

    async def speak(self, tts: TtsClient, speaking: Speaking) -> None:
        """Say it to its end; raises `CallOver`, and what the text raises."""
        with self._call.speaking():
            await self.send_all(speak_tokens(tts, self._utterance.tokens, speaking, self._utterance.journal))
            self._utterance.journal.note("all sent")
            await self._listener.tell("session.done", total_sentences=self.sentences, failed_sentences=self.failed)

    async def _begin(self, event: SentenceBegun) -> None:
        self._place = Place(self._utterance.index, event.index)
        self._call.said.begin(event.index, event.line.text, self._utterance.index)
        self._lead_s, self._pause_s, self._sent = self._pause_s, event.line.pause_s, 0
        form = {"format": "ulaw", "sample_rate": CALL_RATE_HZ, "channels": 1}
        await self._listener.tell("audio.start", sentence_index=event.index, sentence_text=event.line.text, **form)
        self._utterance.journal.note("sending started", event.index)
        await self._hear(AudioChunk.silence(self._lead_s, CALL_RATE_HZ))

    async def _hear(self, chunk: AudioChunk) -> None:
        sound = self._encoder.encode(chunk.pcm)
        # Some engines know the words only when there is no more sound.
        marks = tuple(mark.shifted(self._lead_s) for mark in chunk.marks)
        self._call.said.add(marks, self._sent / CALL_RATE_HZ)
        for at in range(0, len(sound), _PIECE_SAMPLES):
            piece = sound[at : at + _PIECE_SAMPLES]
            await self._call.play(piece, self._generation)
            self._sent += len(piece)
            self._call.said.add((), self._sent / CALL_RATE_HZ)

    async def _end(self, *, broken_off: bool) -> None:
        await self._call.mark(self._place, self._generation)
        duration_ms = round(1000 * self._sent / CALL_RATE_HZ)
        why = {"broken_off": True} if broken_off else {}
        await self._listener.tell("audio.done", sentence_index=self.index, duration_ms=duration_ms, **why)
        self._utterance.journal.note("sent", self.index)

    async def _refuse(self, event: SentenceFailed) -> None:
        await self._listener.refuse(event.error, sentence_index=event.index, sentence_text=event.text)
