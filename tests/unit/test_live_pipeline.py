"""From tokens to speech in the order written, over the real tts service and an engine that takes its time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import cast

import pytest

from services.chassis.lane import EngineLane
from services.chassis.server import serve
from services.gateway.clients import TtsClient
from services.gateway.live.cut import Cut
from services.gateway.live.journal import Journal
from services.gateway.live.pipeline import (
    SentenceBegun,
    SentenceEnded,
    SentenceFailed,
    Sound,
    Speaking,
    SpokenEvent,
    speak_tokens,
)
from services.gateway.live.tokens import FLUSH, Token, TokenFeed, Tokens
from services.tts.app import create_app as create_tts
from services.tts.settings import TtsSettings
from tests.live import InstantTts, TimedEngine, tokens_of, until
from tests.memory import Held, held

NUMBERED = [f"This is sentence number {number}. " for number in range(200)]


@asynccontextmanager
async def tts_of(engine: TimedEngine) -> AsyncIterator[tuple[TtsClient, EngineLane]]:
    settings = TtsSettings(port=0, lanes=16, cache_enable=False)
    app = create_tts(settings, engine)
    async with serve(app, settings) as url:
        tts = TtsClient(url)
        try:
            yield tts, app.state.speaker.lane
        finally:
            await tts.aclose()


def speak(tts: TtsClient, tokens: Tokens, at_once: int = 4) -> AsyncGenerator[SpokenEvent, None]:
    return speak_tokens(tts, tokens, Speaking(language="English", at_once=at_once), Journal("test"))


def test_two_hundred_sentences_of_any_length_come_in_order_and_those_that_fail_are_left_out() -> None:
    chance = random.Random(7)
    texts = [text.replace("is", "breaks") if chance.random() < 0.1 else text for text in NUMBERED]
    engine = TimedEngine({text.strip(): chance.uniform(0.0, 0.06) for text in texts})

    async def visit() -> None:
        async with tts_of(engine) as (tts, _):
            events = [event async for event in speak(tts, tokens_of(texts), at_once=8)]
        assert [event.index for event in events] == sorted(event.index for event in events)
        failed = [event for event in events if isinstance(event, SentenceFailed)]
        assert [event.text + " " for event in failed] == [text for text in texts if "breaks" in text]
        assert {event.error.code for event in failed} == {"engine_failed"}
        heard = [event.line.text + " " for event in events if isinstance(event, SentenceBegun)]
        assert heard == [text for text in texts if "breaks" not in text]
        assert len(failed) + len([event for event in events if isinstance(event, SentenceEnded)]) == len(texts)

    asyncio.run(visit())


def test_several_sentences_are_spoken_side_by_side_and_none_before_it_is_written() -> None:
    engine = TimedEngine({"One is here.": 0.4, "Two is here.": 0.4, "Three is here.": 0.4})

    async def visit() -> None:
        feed = TokenFeed()
        async with tts_of(engine) as (tts, lane), aclosing(speak(tts, feed)) as events:
            first = asyncio.ensure_future(anext(events))
            await feed.write("One is here")
            await asyncio.sleep(0.2)
            assert engine.asked == []
            await feed.write(". Two is here. Three")
            await until(lambda: lane.busy == 2)
            assert sorted(engine.asked) == ["One is here.", "Two is here."]
            assert isinstance(await first, SentenceBegun)
            await feed.write(" is here")
            feed.end()
            assert len([event async for event in events if isinstance(event, SentenceEnded)]) == 3

    asyncio.run(visit())


@pytest.mark.parametrize("tokens", [["It is over. "], ["It is over."], ["It is not over", FLUSH]])
def test_a_sentence_is_spoken_when_its_writer_pauses(tokens: list[Token]) -> None:
    engine = TimedEngine({})

    async def visit() -> None:
        feed = TokenFeed()
        async with tts_of(engine) as (tts, _), aclosing(speak(tts, feed)) as events:
            for token in tokens:
                await feed.write(token)
            assert isinstance(await asyncio.wait_for(anext(events), 10), SentenceBegun)

    asyncio.run(visit())


def test_who_leaves_stops_every_stage() -> None:
    engine, closed = TimedEngine({text.strip(): 0.3 for text in NUMBERED}), asyncio.Event()

    async def endless() -> AsyncGenerator[Token, None]:
        try:
            while True:
                for text in NUMBERED:
                    yield text
        finally:
            closed.set()

    async def visit() -> None:
        async with tts_of(engine) as (tts, lane):
            async with aclosing(speak(tts, endless())) as events:
                await anext(events)
            assert closed.is_set()
            await until(lambda: lane.busy == lane.waiting == 0)
            asked = len(engine.asked)
            await asyncio.sleep(0.4)
            assert len(engine.asked) == asked

    asyncio.run(visit())


def test_a_slow_listener_holds_back_the_writer() -> None:
    engine, written = TimedEngine({}), 0

    async def writer() -> AsyncGenerator[Token, None]:
        nonlocal written
        for text in NUMBERED:
            written += 1
            yield text

    async def visit() -> None:
        async with tts_of(engine) as (tts, _), aclosing(speak(tts, writer())) as events:
            await anext(events)
            await asyncio.sleep(0.5)
            assert written < 20

    asyncio.run(visit())


def test_who_writes_more_than_can_wait_waits() -> None:
    async def visit() -> None:
        feed = TokenFeed(most_chars=10)
        await feed.write("12345")
        writing = asyncio.create_task(feed.write("678901"))
        await asyncio.sleep(0.01)
        assert not writing.done()
        assert await anext(feed) == "12345"
        await writing
        writing = asyncio.create_task(feed.write("x" * 20))
        await asyncio.sleep(0.01)
        assert not writing.done()
        await feed.aclose()
        await writing
        await feed.write("nobody reads this")

    asyncio.run(visit())


def test_memory_does_not_grow_with_ten_thousand_sentences() -> None:
    async def visit() -> None:
        texts = (f"This is sentence {number} of many. " for number in range(10_000))
        after: dict[int, Held] = {}
        async for event in speak(cast(TtsClient, InstantTts()), tokens_of(texts)):
            if isinstance(event, SentenceEnded) and event.index in (1_000, 9_990):
                after[event.index] = held()
            assert not isinstance(event, Sound) or event.chunk.pcm
        assert after[1_000].is_no_less_than(after[9_990]), after

    asyncio.run(visit())


@pytest.mark.parametrize(("flushes", "heard"), [(0, []), (1, ["One is."]), (2, ["One is.", "Two is.", "Three is."])])
@pytest.mark.parametrize("at_once", [1, 4])
def test_a_text_that_is_cut_is_spoken_as_far_as_it_was_flushed(flushes: int, heard: list[str], at_once: int) -> None:
    async def visit() -> None:
        cut, tokens = Cut(), tokens_of(["One is.", FLUSH, "Two is. Three is", ".", FLUSH, "Four is. Five"])
        cut.after(flushes)
        speaking = Speaking(language="English", at_once=at_once)
        events = speak_tokens(cast(TtsClient, InstantTts()), tokens, speaking, Journal("test"), cut)
        assert [event.line.text async for event in events if isinstance(event, SentenceBegun)] == heard

    asyncio.run(visit())


def test_letters_that_were_cut_in_two_are_whole_again() -> None:
    async def visit() -> None:
        feed = TokenFeed()
        for token in ("Hi \ud83d", "\ude00!", " lone \ude00 half", " and \ud83d"):
            await feed.write(token)
        feed.end()
        assert "".join([str(token) async for token in feed]) == "Hi \U0001f600! lone \ufffd half and "

    asyncio.run(visit())


def test_a_feed_that_nobody_began_to_read_keeps_no_writer_waiting() -> None:
    async def visit() -> None:
        feed = TokenFeed(most_chars=3)
        writing = asyncio.create_task(feed.write("too much"))
        await asyncio.sleep(0)
        await feed.aclose()
        await asyncio.wait_for(writing, 1)

    asyncio.run(visit())


@pytest.mark.parametrize("token", [FLUSH, "", "x"])
def test_tokens_without_letters_take_room_too(token: Token) -> None:
    async def visit() -> None:
        feed = TokenFeed(most_chars=3)
        for _ in range(3):
            await asyncio.wait_for(feed.write(token), 1)
        writing = asyncio.create_task(feed.write(token))
        await asyncio.sleep(0.01)
        assert not writing.done()
        await feed.__anext__()
        await asyncio.wait_for(writing, 1)

    asyncio.run(visit())
