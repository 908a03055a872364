"""A language model's answer, spoken while it is written."""

from __future__ import annotations

import base64
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from functools import partial
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import Field

from services.chassis.sse import SSE_MEDIA_TYPE, message
from services.chassis.streaming import begin_stream, unless_disconnected
from services.contract.errors import EngineFailed, ServiceError, Unavailable
from services.contract.speech import AudioChunk
from services.gateway.ahead import Ahead
from services.gateway.audio import MEDIA_TYPES, AudioFormat, encoded_stream
from services.gateway.clients import TtsClient
from services.gateway.copying import Copying
from services.gateway.live.journal import Journal
from services.gateway.live.pipeline import SentenceBegun, SentenceFailed, Sound, Speaking, SpokenEvent, speak_tokens
from services.gateway.live.seats import Seats
from services.gateway.live.segmenter import Granularity
from services.gateway.live.session import told_of
from services.gateway.llm import Answer, ChatMessage, LanguageModel
from services.gateway.narration import SPEECH_SAMPLE_RATE_HZ
from services.gateway.settings import GatewaySettings
from services.gateway.telling import told
from services.gateway.voicing import VoiceFields, manner_of

_log = logging.getLogger(__name__)

_EVENTS_AHEAD = 64


class RespondRequest(VoiceFields):
    """Body of `POST /v1/respond`: a conversation, and how its next turn is to be spoken."""

    messages: list[ChatMessage] = Field(min_length=1, max_length=1_000)
    llm_model: str = Field("", max_length=200, description="Empty for the configured one.")
    llm_options: dict[str, Any] = Field({}, description="Sent to the language model as they are: temperature ...")
    response_format: AudioFormat = "mp3"
    stream_format: Literal["audio", "sse"] = "audio"
    split_granularity: Granularity = "sentence"


def respond_router(
    settings: GatewaySettings, tts: TtsClient, copying: Copying, model: LanguageModel | None, seats: Seats
) -> APIRouter:
    """Return the route of spoken answers."""
    router = APIRouter(prefix="/v1", tags=["live"])

    @router.post("/respond", response_class=Response)
    async def respond(body: RespondRequest, request: Request) -> Response:
        """Have a language model answer, and speak what it says while it is written.

        Should the model fail in the middle, what it had said is spoken, and the answer ends there; server-sent
        events tell why.
        """
        if model is None:
            raise Unavailable("No language model is configured here (LLM_BASE_URL).")
        manner = (await manner_of(body, await tts.engines(), copying)).model_copy(
            update={"sample_rate_hz": SPEECH_SAMPLE_RATE_HZ}
        )
        speaking = Speaking(manner, body.language, body.split_granularity, settings.live_sentences)
        answer = Answer(model.answer(body.messages, body.llm_model, body.llm_options))
        tells = body.stream_format == "sse"
        speech = _Speech(answer, partial(_seated, seats, tts, speaking), tells=tells)
        first = await unless_disconnected(request, speech.begin())
        headers = told(first.answer) | {"Cache-Control": "no-cache"}
        stalled_s = settings.live_stalled_s  # there is a seat to be given back
        if tells:
            events = _events(speech, body.response_format)
            return await begin_stream(request, events, SSE_MEDIA_TYPE, headers, stalled_s)
        sound = encoded_stream(speech.pcm(), body.response_format)
        return await begin_stream(request, sound, MEDIA_TYPES[body.response_format], headers, stalled_s)

    return router


class _Speech:
    """A language model's answer on its way to the listener."""

    def __init__(
        self,
        answer: Answer,
        speak: Callable[[AsyncGenerator[str, None]], AsyncGenerator[SpokenEvent, None]],
        *,
        tells: bool,
    ) -> None:
        """What is written and what is left out is only kept where somebody `tells` it."""
        self.answer = answer
        self._tells = tells
        self.text: list[str] = []
        """What was written and not told yet."""
        self.failed: list[SentenceFailed] = []
        """Sentences that were left out, and not told yet."""
        self._events = Ahead(speak(self._tokens()), _EVENTS_AHEAD)
        self._first: SentenceBegun | None = None

    async def begin(self) -> SentenceBegun:
        """Return the first sentence when it begins to be heard; raises what kept the model from saying one."""
        try:
            async for event in self._events:
                if isinstance(event, SentenceBegun):
                    self._first = event
                    return event
                self._note(event)
            raise self.answer.failure or (self.failed[0].error if self.failed else None) or _nothing_said()
        except BaseException:
            await self._events.aclose()
            raise

    async def pcm(self) -> AsyncGenerator[bytes, None]:
        """Yield the sound, with the pauses between sentences."""
        pause_s = self._first.line.pause_s if self._first else 0.0
        async with aclosing(self._events):
            async for event in self._events:
                if isinstance(event, SentenceBegun):
                    yield AudioChunk.silence(pause_s, SPEECH_SAMPLE_RATE_HZ).pcm
                    pause_s = event.line.pause_s
                elif isinstance(event, Sound):
                    yield event.chunk.pcm
                else:
                    self._note(event)
        if self.answer.failure is not None:
            _log.warning("an answer was broken off: %s", self.answer.failure.detail)

    async def _tokens(self) -> AsyncGenerator[str, None]:
        async with aclosing(self.answer.tokens()) as tokens:
            async for token in tokens:
                if self._tells:
                    self.text.append(token)
                yield token

    def _note(self, event: SpokenEvent) -> None:
        if isinstance(event, SentenceFailed) and (self._tells or self._first is None):
            self.failed.append(event)


async def _seated(
    seats: Seats, tts: TtsClient, speaking: Speaking, tokens: AsyncGenerator[str, None]
) -> AsyncGenerator[SpokenEvent, None]:
    """Yield the speech of what `tokens` say while a seat is held; raises `AtCapacity`."""
    with seats.seat():
        async with aclosing(speak_tokens(tts, tokens, speaking, Journal("respond"))) as events:
            async for event in events:
                yield event


async def _events(speech: _Speech, audio_format: AudioFormat) -> AsyncIterator[bytes]:
    """Yield what is written and what is heard of it, as events."""
    async with aclosing(encoded_stream(speech.pcm(), audio_format)) as sound:
        async for data in sound:
            for news in _untold(speech):
                yield news
            yield message({"type": "speech.audio.delta", "audio": base64.b64encode(data).decode()})
    for news in _untold(speech):
        yield news
    yield message({"type": "response.text.done", **told_of(speech.answer)})
    yield message({"type": "speech.audio.done"})


def _untold(speech: _Speech) -> list[bytes]:
    text, failed = "".join(speech.text), list(speech.failed)
    speech.text.clear()
    speech.failed.clear()
    news = [message({"type": "response.text.delta", "delta": text})] if text else []
    return news + [
        message({"type": "sentence.failed", "text": one.text, "message": one.error.detail}) for one in failed
    ]


def _nothing_said() -> ServiceError:
    return EngineFailed("The language model said nothing.")
