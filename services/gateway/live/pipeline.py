"""From tokens to speech, in the order written: sentence by sentence, as they are finished.

Each sentence is asked for the moment its writer has finished it, several are spoken side by side, and what
comes out is in order. One that fails is left out and reported. Nothing is held but the sentences being spoken
and a little of their sound: a slow listener holds back the speech, and that the writer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

from services.contract.errors import EngineFailed, ServiceError
from services.contract.speech import AUTO, AudioChunk, Manner
from services.gateway.ahead import side_by_side
from services.gateway.calling import PATIENCE_S
from services.gateway.clients import SpeechAnswer, TtsClient
from services.gateway.languages import Languages
from services.gateway.lines import Line
from services.gateway.live.cut import Cut
from services.gateway.live.journal import Journal
from services.gateway.live.segmenter import Granularity, SentenceStream
from services.gateway.live.tokens import Flush, Token, Tokens
from services.gateway.reader import Reader
from services.gateway.sentences import Sentence
from services.gateway.utterance import PAUSE_S

_CHUNKS_AHEAD = 64
_SLICE_CHARS = 1_000
_TRIES = 2
"""A sentence of which nothing was heard yet is asked for again, where that may help."""


@dataclass(frozen=True)
class Speaking:
    """How a text is spoken."""

    manner: Manner = field(default_factory=Manner)
    language: str = AUTO
    granularity: Granularity = "sentence"
    at_once: int = 4
    """Sentences that are spoken side by side."""


@dataclass(frozen=True)
class SentenceBegun:
    """Sentence `index` begins to be heard."""

    index: int
    line: Line
    answer: SpeechAnswer
    """Who speaks it."""


@dataclass(frozen=True)
class Sound:
    """Some sound of sentence `index`."""

    index: int
    chunk: AudioChunk


@dataclass(frozen=True)
class SentenceEnded:
    """All of sentence `index` has been given."""

    index: int


@dataclass(frozen=True)
class SentenceFailed:
    """Sentence `index` is left out, or was broken off."""

    index: int
    text: str
    error: ServiceError


SpokenEvent = SentenceBegun | Sound | SentenceEnded | SentenceFailed


async def speak_tokens(
    tts: TtsClient, tokens: Tokens, speaking: Speaking, journal: Journal, cut: Cut | None = None
) -> AsyncGenerator[SpokenEvent, None]:
    """Yield the speech of what `tokens` say, in order. Closing it stops everything, and closes `tokens`.

    What `cut` takes back is given up at every stage: a sentence that is heard already has no end then. Raises what
    `tokens` raises.
    """
    cut = cut or Cut()
    flushes = 0
    languages = Languages(speaking.language)
    reader = Reader(tts, speaking.manner, languages)

    async def sources() -> AsyncGenerator[AsyncGenerator[SpokenEvent, None], None]:
        nonlocal flushes
        index = 0
        lines = lines_of_tokens(tokens, SentenceStream(speaking.language, speaking.granularity))
        try:
            await languages.ready()
            async for flushes, line in lines:
                if not cut.wants(flushes):
                    return
                journal.note("written", index)
                languages.go_on(line.text)
                yield _speak(reader, index, line, journal)
                index += 1
        finally:
            await lines.aclose()

    events = side_by_side(sources(), speaking.at_once, _CHUNKS_AHEAD, lambda sentence: cut.begun(sentence, flushes))
    try:
        async for event in events:
            yield event
    finally:
        await events.aclose()


async def lines_of_tokens(tokens: Tokens, stream: SentenceStream) -> AsyncGenerator[tuple[int, Line], None]:
    """Yield the lines of what `tokens` say as soon as they are finished, or nothing follows for a moment.

    Beside each stands how many flushes came before it.
    """
    coming: asyncio.Future[Token] | None = None
    flushes = 0
    try:
        while True:
            coming = coming or asyncio.ensure_future(tokens.__anext__())
            done, _ = await asyncio.wait({coming}, timeout=stream.settles_in_s)
            try:
                token = coming.result() if done else None
            except StopAsyncIteration:
                break
            coming = None if done else coming
            if not isinstance(token, str):
                for line in _lines(stream.flush()):
                    yield flushes, line
                flushes += isinstance(token, Flush)
                continue
            for at in range(0, len(token), _SLICE_CHARS):
                for line in _lines(stream.feed(token[at : at + _SLICE_CHARS])):
                    yield flushes, line
                await asyncio.sleep(0)  # a whole book in one message is nobody else's affair
        for line in _lines(stream.flush()):
            yield flushes, line
    finally:
        if coming is not None:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
        await tokens.aclose()


def _lines(sentences: Sequence[Sentence]) -> list[Line]:
    return [Line(sentence.text, PAUSE_S[sentence.pause]) for sentence in sentences]


async def _speak(reader: Reader, index: int, line: Line, journal: Journal) -> AsyncGenerator[SpokenEvent, None]:
    begun = False
    for tries_left in reversed(range(_TRIES)):
        journal.note("speech asked for", index)
        try:
            async with reader.speak(index, line, PATIENCE_S) as answer:
                async for chunk in answer.chunks:
                    if not begun and chunk.pcm:  # an engine may give signs of life before there is sound
                        begun = True
                        yield SentenceBegun(index, line, answer)
                    if begun:
                        yield Sound(index, chunk)
            if not begun:
                raise EngineFailed("The tts service made no sound of a sentence; reword it.")
            journal.note("spoken", index)
            yield SentenceEnded(index)
            return
        except ServiceError as error:
            if begun or not tries_left or not error.retryable:
                journal.note(f"failed: {error.detail}", index)
                yield SentenceFailed(index, line.text, error)
                return
