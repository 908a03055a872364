"""When live speech is heard, how soon it stops, and what is told of it: with an engine that takes its time."""

from __future__ import annotations

import asyncio
import json
import re
import time
from itertools import pairwise

import pytest
from websockets.asyncio.client import ClientConnection

from tests.gateways import gateway
from tests.live import TimedEngine, until
from tests.service.card import CardEngine
from tests.stack.live_socket import (
    FILM,
    PCM,
    RATE_HZ,
    SPEECH,
    VIDEO,
    Message,
    answered,
    events,
    heard,
    run,
    say,
    socket_to,
    sound,
    write,
)

WRITTEN_S = {"The first one is written.": 0.5, "The second one is written.": 1.0, "The third one is written.": 1.5}
TAKES_S = dict(zip(WRITTEN_S, (0.5, 1.2, 0.8), strict=True))

SPELT = (
    "Alpha bravo charlie delta echo foxtrot golf hotel india juliet "
    "kilo lima mike november oscar papa quebec romeo sierra tango."
)
WORDS = SPELT.split()
WORD_MS = 95
"""Of these words each; no piece of sound and no fragment ends just where a word begins."""

PIECE_MS = 100
PAUSE_MS, LEAD_MS = 240, 100
"""Silence before what is not the first sentence, and before each sentence of a film."""

BYTES_PER_MS = 2 * RATE_HZ // 1000
FRAME_MS = 40


async def written_in_time(socket: ClientConnection, began_s: float) -> None:
    for text, at_s in WRITTEN_S.items():
        await asyncio.sleep(began_s + at_s - time.monotonic())
        await write(socket, f"{text} ")
    await say(socket, type="input.done")


async def heard_on_time(*, streams: bool, first_within_s: float) -> None:
    engine = TimedEngine(TAKES_S, streams=streams, sound_s=0.5)
    async with gateway(engine) as (url, _), socket_to(url, SPEECH, **PCM) as socket:
        await answered(socket)
        began_s = time.monotonic()
        writing = asyncio.create_task(written_in_time(socket, began_s))
        sounds_s: list[float] = []
        texts: list[str] = []
        async for raw in socket:
            if isinstance(raw, bytes):
                sounds_s.append(time.monotonic() - began_s)
                continue
            event = json.loads(raw)
            texts += [event["sentence_text"]] if event["type"] == "audio.start" else []
            if event["type"] == "session.done":
                break
        await writing
    assert texts == list(WRITTEN_S)
    assert sounds_s[0] < first_within_s
    assert sounds_s[-1] < 2.9


def test_sentences_are_spoken_while_others_are_written_and_spoken() -> None:
    # At best it is heard from 1.0 s (0.6 s, as it is made) to 2.3 s. Were all written before any is spoken, it would be
    # from 2.0 to 4.0 s; were one spoken after the other, to 3.0 s.
    async def visit() -> None:
        whole = heard_on_time(streams=False, first_within_s=1.3)
        as_made = heard_on_time(streams=True, first_within_s=0.9)
        await asyncio.gather(whole, as_made)

    run(visit())


def test_an_interruption_is_confirmed_at_once_and_the_rest_is_never_sent() -> None:
    async def visit() -> None:
        texts = ["One is here.", "Two is here.", "Three is here."]
        engine = TimedEngine(dict.fromkeys(texts, 5.0), streams=True, sound_s=10.0)
        async with gateway(engine) as (url, lane), socket_to(url, SPEECH, **PCM) as socket:
            await write(socket, " ".join(texts))
            await say(socket, type="input.done")
            await heard(socket, "audio.start")
            sent = 0
            while sent < 1_000 * BYTES_PER_MS:
                sent += len(await socket.recv(decode=False))
            interrupted_s = time.monotonic()
            await say(socket, type="interrupt")
            stale = sound(await heard(socket, "interrupted"))
            assert time.monotonic() - interrupted_s < 1.0  # the rest of the sentence alone takes more than four
            assert len(stale) < (30_000 * BYTES_PER_MS - sent) / 20
            await until(lambda: lane.busy == lane.waiting == 0)
            assert sound(await answered(socket)) == b""
            assert sorted(engine.asked) == sorted(texts)

    run(visit())


@pytest.mark.parametrize("before", ["", "Hello there. "])
def test_the_last_word_is_that_which_was_sent(before: str) -> None:
    async def visit() -> None:
        engine = TimedEngine({SPELT: 2.0}, streams=True, sound_s=WORD_MS * len(WORDS) / 1000)
        async with gateway(engine) as (url, _), socket_to(url, SPEECH, **PCM) as socket:
            await write(socket, f"{before}{SPELT} ")
            for _ in range(2 if before else 1):
                await heard(socket, "audio.start")
            sent = 0
            while sent < 900 * BYTES_PER_MS:
                sent += len(await socket.recv(decode=False))
            await say(socket, type="interrupt")
            messages = await heard(socket, "interrupted")
            told = events(messages)[-1]
            sent_ms = (sent + len(sound(messages))) / BYTES_PER_MS
            # A piece that was about to be sent counts, even where the interruption was faster.
            assert told["sent_ms"] in (sent_ms, sent_ms + PIECE_MS)
            assert_told(told, before_ms=PAUSE_MS if before else 0)
            assert (told["utterance_index"], told["sentence_index"]) == (0, 1 if before else 0)

    run(visit())


def test_the_last_word_of_a_film_is_that_which_was_sent_and_only_rest_follows() -> None:
    async def visit() -> None:
        engine = TimedEngine({}, sound_s=WORD_MS * len(WORDS) / 1000)
        async with gateway(engine, CardEngine()) as (url, _), socket_to(url, VIDEO, **FILM) as socket:
            await write(socket, f"{SPELT} ")
            messages = await heard(socket, "video.start")
            while spoken_ms(messages) < 900:
                messages += await heard(socket, "video.fragment")
            interrupted_s = time.monotonic()
            await say(socket, type="interrupt")
            messages += await heard(socket, "interrupted")
            assert time.monotonic() - interrupted_s < 1.0
            told = events(messages)[-1]
            assert told["sent_ms"] == spoken_ms(messages) < 1_500
            assert_told(told, before_ms=LEAD_MS)
            await write(socket, "Now this.")
            await say(socket, type="input.done")
            later = await heard(socket, "video.start")
            assert all(one["idle"] for one in events(later, "video.fragment"))
            assert (later[-1]["sentence_text"], later[-1]["generation"]) == ("Now this.", 1)

    run(visit())


def spoken_ms(film: list[Message]) -> int:
    return FRAME_MS * sum(one["frames"] for one in events(film, "video.fragment") if not one["idle"])


def assert_told(told: dict[str, object], before_ms: int) -> None:
    """Fail unless the last word is the last whose sound began, which it does `before_ms` into the sentence."""
    sent_ms = told["sent_ms"]
    assert isinstance(sent_ms, int)
    begun = sum(before_ms + WORD_MS * place < sent_ms for place in range(len(WORDS)))
    assert 3 < begun < len(WORDS)
    assert (told["sentence_text"], told["word_index"], told["last_word"]) == (SPELT, begun - 1, WORDS[begun - 1])


LINE = re.compile(r"live utterance (\d+) (\d+\.\d+) s: (.+)")
OF_A_SENTENCE = ("written", "speech asked for", "spoken", "sending started", "sent")


@pytest.mark.parametrize(("path", "config"), [(SPEECH, PCM), (VIDEO, FILM)])
def test_the_log_has_all_that_happens_with_the_time_since_the_caller_stopped_speaking(
    caplog: pytest.LogCaptureFixture, path: str, config: dict[str, object]
) -> None:
    async def visit() -> None:
        engine = TimedEngine({"One is here.": 0.4, "Two is here.": 0.1})
        async with gateway(engine, CardEngine()) as (url, _), socket_to(url, path, **config) as socket:
            await say(socket, type="caller.done")
            await answered(socket)
            await asyncio.sleep(0.5)
            for text in ("One is here. Two is here.", "Three is here."):
                await write(socket, text)
                await say(socket, type="input.done")
                await heard(socket)

    caplog.set_level("INFO")
    run(visit())
    lines = [match.groups() for message in caplog.messages if (match := LINE.fullmatch(message))]
    at_s = {event: float(elapsed_s) for utterance, elapsed_s, event in lines if utterance == "0"}
    happened = [event for utterance, _, event in lines if utterance == "0"]
    assert sorted(happened) == sorted([*(f"sentence {n} {what}" for n in (1, 2) for what in OF_A_SENTENCE), "all sent"])
    assert [at_s[event] for event in happened] == sorted(at_s.values())
    for number in (1, 2):
        written, asked, spoken, sending, sent = (happened.index(f"sentence {number} {what}") for what in OF_A_SENTENCE)
        assert written < asked < spoken < sent and asked < sending < sent
    order = ["sentence 2 spoken", "sentence 1 spoken", "sentence 1 sent", "sentence 2 sending started", "all sent"]
    assert all(happened.index(one) < happened.index(other) for one, other in pairwise(order))
    assert at_s["sentence 1 written"] >= 0.5
    assert at_s["sentence 1 spoken"] - at_s["sentence 1 speech asked for"] >= 0.4
    following_s = [float(elapsed_s) for utterance, elapsed_s, _ in lines if utterance == "1"]
    assert len(following_s) == len(OF_A_SENTENCE) + 1
    assert following_s[0] < 0.5, "it counts from its own beginning"
