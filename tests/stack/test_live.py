"""Text goes in over a WebSocket while it is written, and speech or film comes out, of the running product."""

from __future__ import annotations

import asyncio
import io

import av
import httpx
import numpy as np
import pytest
from websockets.exceptions import InvalidStatus

from tests.stack.live_socket import (
    FILM,
    LONG,
    PCM,
    RATE_HZ,
    RESPOND,
    SPEECH,
    VIDEO,
    events,
    heard,
    loudness,
    nobody_sits,
    run,
    say,
    socket_to,
    sound,
    write,
)

TOKENS = [
    "Hello",
    " there",
    ",",
    " I",
    " am",
    " Talk",
    "ie",
    ".",
    " How",
    " are",
    " you",
    "?",
    " It",
    " costs",
    " 3",
    ".",
    "14.",
]


def test_tokens_become_announced_sentences_in_order(stack: str) -> None:
    async def visit() -> None:
        async with socket_to(stack, SPEECH, **PCM) as socket:
            await write(socket, *TOKENS)
            await say(socket, type="input.done")
            messages = await heard(socket)
            starts, ends = events(messages, "audio.start"), events(messages, "audio.done")
            texts = ["Hello there, I am Talkie.", "How are you?", "It costs 3.14."]
            assert [start["sentence_text"] for start in starts] == texts
            assert [start["sentence_index"] for start in starts] == [0, 1, 2]
            assert {start["sample_rate"] for start in starts} == {RATE_HZ}
            assert sum(end["duration_ms"] for end in ends) == pytest.approx(len(sound(messages)) / 48, abs=5)
            assert loudness(sound(messages)) > 0.02
            done = {"type": "session.done", "utterance_index": 0, "total_sentences": 3, "failed_sentences": 0}
            assert messages[-1] == done | {"generation": 0}
            await write(socket, "And on it goes.")
            await say(socket, type="input.done")
            assert events(await heard(socket))[-1]["utterance_index"] == 1
            await say(socket, type="session.close")
            assert await heard(socket) == []
        assert socket.close_code == 1000

    run(visit())


def test_a_sentence_is_heard_while_the_next_one_is_not_written(stack: str) -> None:
    async def visit() -> None:
        async with socket_to(stack, SPEECH, **PCM) as socket:
            await write(socket, "One sentence", ". ")
            assert loudness(sound(await heard(socket, "audio.done"))) > 0.02
            await write(socket, "A clause that is not over")
            await say(socket, type="input.flush")
            assert events(await heard(socket, "audio.done"))[0]["sentence_text"] == "A clause that is not over"

    run(visit())


@pytest.mark.parametrize("audio_format", ["wav", "mp3", "opus", "aac", "flac", "pcm"])
def test_each_sentence_is_a_file_unless_it_is_streamed(stack: str, audio_format: str) -> None:
    async def visit() -> None:
        config = {"type": "session.config", "response_format": audio_format}
        async with socket_to(stack, SPEECH, **config) as socket:
            await write(socket, "Hello there, you two. This is the second sentence.")
            await say(socket, type="input.done")
            messages = await heard(socket)
            files = [message for message in messages if isinstance(message, bytes)]
            assert len(files) == 2
            if audio_format != "pcm":
                for file, end in zip(files, events(messages, "audio.done"), strict=True):
                    with av.open(io.BytesIO(file)) as container:
                        frames = list(container.decode(audio=0))
                    heard_s = sum(frame.samples / frame.sample_rate for frame in frames)
                    assert heard_s == pytest.approx(end["duration_ms"] / 1000, abs=0.15)

    run(visit())


def test_words_come_with_their_times(stack: str) -> None:
    async def visit() -> None:
        async with socket_to(stack, SPEECH, **PCM, word_timestamps=True) as socket:
            await write(socket, "These are five words indeed.")
            await say(socket, type="input.done")
            chunks = events(await heard(socket), "audio.chunk")
            words = chunks[-1]["timestamps"]
            assert [word["word"].strip(",.") for word in words] == ["These", "are", "five", "words", "indeed"]
            assert all(word["start_ms"] < word["end_ms"] for word in words)
            assert all(chunk["timestamps"] is None and chunk["audio_b64"] for chunk in chunks[:-1])

    run(visit())


def test_an_interruption_tells_the_last_word_and_nothing_of_the_old_answer_follows(stack: str) -> None:
    async def visit() -> None:
        async with socket_to(stack, SPEECH, **PCM) as socket:
            await write(socket, LONG)
            await heard(socket, "audio.start")
            sent = 0
            while sent < 0.5 * RATE_HZ * 2:  # a word is known once it is over
                sent += len(await socket.recv(decode=False))
            await say(socket, type="interrupt")
            told = events(await heard(socket, "interrupted"))[-1]
            assert told["generation"] == 1
            assert told["sentence_text"] in LONG
            assert told["last_word"] in LONG.replace(".", "").split()
            await asyncio.sleep(0.3)
            await write(socket, "Now this.")
            await say(socket, type="input.done")
            later = await heard(socket)
            assert isinstance(later[0], dict)  # no sound of the old answer came before it
            assert {event["generation"] for event in events(later)} == {1}
            assert [event["sentence_text"] for event in events(later, "audio.start")] == ["Now this."]

    run(visit())


def test_a_film_goes_on_while_nobody_speaks_and_plays_from_its_first_byte(stack: str) -> None:
    async def visit() -> None:
        async with socket_to(stack, VIDEO, **FILM) as socket:
            messages = await heard(socket, "video.fragment")
            await asyncio.sleep(0.6)
            await write(socket, "Hello, I am here. ")
            await say(socket, type="input.done")
            messages += await heard(socket)
            await asyncio.sleep(0.7)
            await write(socket, LONG)
            messages += await heard(socket, "video.start")
            await say(socket, type="interrupt")
            messages += await heard(socket, "interrupted")
            await asyncio.sleep(0.6)
            await say(socket, type="session.close")
            messages += await heard(socket)
        fragments = events(messages, "video.fragment")
        announced = [message["bytes"] for message in events(messages) if "bytes" in message]
        assert announced == [len(message) for message in messages if isinstance(message, bytes)]
        assert [one["first_frame"] for one in fragments] == [
            sum(one["frames"] for one in fragments[:number]) for number in range(len(fragments))
        ]
        assert next(one["sentence_text"] for one in events(messages, "video.start")) == "Hello, I am here."
        assert fragments[-1]["idle"] and fragments[0]["idle"]
        with av.open(io.BytesIO(sound(messages))) as film:
            pictures = [frame.pts for frame in film.decode(video=0)]
        with av.open(io.BytesIO(sound(messages))) as film:
            samples = [frame.pts for frame in film.decode(audio=0)]
        assert len(pictures) == sum(one["frames"] for one in fragments)
        assert len(set(np.diff(pictures))) == 1
        assert set(np.diff(samples)) == {1024}

    run(visit())


def test_a_film_without_rest_is_that_of_what_is_said(stack: str) -> None:
    async def visit() -> None:
        async with socket_to(stack, VIDEO, **FILM, idle=False) as socket:
            await write(socket, "One is here. Two is here.")
            await say(socket, type="input.done")
            messages = await heard(socket)
        assert not any(one["idle"] for one in events(messages, "video.fragment"))
        assert [event["type"] for event in events(messages) if event["type"] != "video.fragment"] == [
            "session.created",
            "video.init",
            *["video.start", "video.done"] * 2,
            "session.done",
        ]

    run(visit())


@pytest.mark.parametrize(
    ("path", "message", "told"),
    [
        (SPEECH, "{", "This is no JSON."),
        (SPEECH, "[" * 100_000, "This is no JSON."),
        (SPEECH, "[]", "JSON object"),
        (SPEECH, '{"type": "input.text", "text": "Hello."}', "first message"),
        (SPEECH, '{"type": "session.config", "response_format": "midi"}', "response_format"),
        (SPEECH, '{"type": "session.config", "word_timestamps": true}', "word_timestamps"),
        (VIDEO, '{"type": "session.config", "avatar": "nobody"}', "no avatar"),
        (VIDEO, '{"type": "session.config", "avatar": "' + "никто" * 12 + '"}', "no avatar"),
        (VIDEO, '{"type": "session.config", "fps": 24}', "fps"),
        (VIDEO, '{"type": "session.config", "size": "1x1"}', "size"),
    ],
)
def test_a_connection_that_begins_wrongly_is_told_why_and_closed(
    stack: str, path: str, message: str, told: str
) -> None:
    async def visit() -> None:
        async with socket_to(stack, path) as socket:
            await socket.send(message)
            [error] = events(await heard(socket))
            assert error["type"] == "error"
            assert told in error["message"]
        assert socket.close_code == 1000

    run(visit())


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("{", "no JSON"),
        ('{"type": "dance"}', "type"),
        ('{"type": "input.text"}', "text"),
        ('{"type": "input.text", "text": 7}', "text"),
        ('{"type": "respond", "messages": []}', "messages"),
        ('{"type": "input.text", "text": "' + "x" * 200_000 + '"}', "128 KiB"),
        ('{"type": "session.config", "voice": "' + "x" * 5_000_000 + '"}', "4 MiB"),
        (b"\x00\x01", "no JSON"),
        ('{"type": "respond", "messages": [{"role": "user", "content": NaN}]}', "no JSON"),
        ('{"type": "respond", "messages": [{"role": "user", "content": "\\ud83d"}]}', "surrogate"),
    ],
)
def test_a_message_that_cannot_be_read_is_told_and_the_rest_goes_on(
    stack: str, message: str | bytes, told: str
) -> None:
    async def visit() -> None:
        async with socket_to(stack, SPEECH, **PCM) as socket:
            await socket.send(message)
            await write(socket, "Still here.")
            await say(socket, type="input.done")
            messages = await heard(socket)
            assert told in events(messages, "error")[0]["message"]
            assert events(messages, "audio.start")[0]["sentence_text"] == "Still here."

    run(visit())


def test_a_farewell_in_mid_sentence_is_spoken_to_its_end_and_leaves_no_seat_taken(strict: str) -> None:
    async def visit() -> None:
        async with socket_to(strict, SPEECH, **PCM) as socket:
            await write(socket, "Hello. And one more thing")
            await say(socket, type="session.close")
            await say(socket, type="input.text", text="nobody hears this.")
            texts = [event["sentence_text"] for event in events(await heard(socket, "", 20), "audio.start")]
            assert texts == ["Hello.", "And one more thing"]
        assert socket.close_code == 1000
        async with socket_to(strict, SPEECH, **PCM) as socket:
            await write(socket, LONG)
            await say(socket, type="session.close")
            await say(socket, type="interrupt")
            assert events(await heard(socket, "", 20))[-1]["type"] == "interrupted"
        await nobody_sits(strict)

    run(visit())


def test_a_client_may_ask_whether_anybody_is_there(stack: str) -> None:
    async def visit() -> None:
        async with socket_to(stack, SPEECH, **PCM) as socket:
            await say(socket, type="ping")
            assert await heard(socket, "pong") == [{"type": "pong"}]

    run(visit())


def test_an_utterance_is_spoken_as_was_asked_for_when_it_was_written(stack: str) -> None:
    async def visit() -> None:
        async with socket_to(stack, SPEECH, **PCM) as socket:
            for text, audio_format in (("One is here.", "pcm"), ("Two is here.", "pcm"), ("Three is here.", "wav")):
                await say(socket, **PCM | {"response_format": audio_format})
                await write(socket, text)
                await say(socket, type="input.done")
            formats = [event["format"] for _ in range(3) for event in events(await heard(socket), "audio.start")]
            assert formats == ["pcm", "pcm", "wav"]

    run(visit())


def test_an_interruption_is_heard_behind_many_utterances(stack: str) -> None:
    async def visit() -> None:
        async with socket_to(stack, VIDEO, **FILM) as socket:
            for number in range(50):
                await write(socket, f"This is utterance number {number}, which takes its time to be said.")
                await say(socket, type="input.done")
            await say(socket, type="interrupt")
            messages = await heard(socket, "interrupted", 10)
            refused = events(messages, "error")
            assert "utterances wait" in refused[0]["message"]
            assert len(refused) < 11  # each is told once
            await write(socket, "Now this.")
            await say(socket, type="input.done")
            later = await heard(socket)
            assert [event["sentence_text"] for event in events(later, "video.start")] == ["Now this."]

    run(visit())


def test_a_sentence_no_voice_can_say_is_reported_and_the_rest_is_spoken(stack: str) -> None:
    async def visit() -> None:
        async with socket_to(stack, SPEECH, **PCM, voice="nobody") as socket:
            await write(socket, "One is here. Two is here.")
            await say(socket, type="input.done")
            messages = await heard(socket)
            errors = events(messages, "error")
            assert [error["sentence_index"] for error in errors] == [0, 1]
            assert "nobody" in errors[0]["message"]
            assert events(messages)[-1]["failed_sentences"] == 2

    run(visit())


def test_silence_ends_a_session(strict: str) -> None:
    async def visit() -> None:
        async with socket_to(strict, SPEECH, **PCM) as socket:
            [error] = events(await heard(socket))
            assert "Nothing was sent" in error["message"]
        assert socket.close_code == 1000

    run(visit())


@pytest.mark.parametrize("path", [SPEECH, VIDEO])
def test_who_leaves_an_utterance_unfinished_has_finished_it_and_ends_in_silence(strict: str, path: str) -> None:
    async def visit() -> None:
        async with socket_to(strict, path, **(PCM if path == SPEECH else FILM)) as socket:
            await write(socket, "It is said, though nobody says that it is over")
            told = events(await heard(socket, until="never"))
            assert [event["total_sentences"] for event in told if event["type"] == "session.done"] == [1]
            assert "Nothing was sent" in told[-1]["message"]
        assert socket.close_code == 1000

    run(visit())


def test_pages_from_elsewhere_open_no_socket(strict: str) -> None:
    async def answer(path: str, origin: str) -> int:
        try:
            async with socket_to(strict, path, origin):
                return 101
        except InvalidStatus as error:
            return error.response.status_code

    async def visit() -> None:
        for path in (SPEECH, VIDEO, RESPOND, "/v1/text-to-speech/female/stream-input"):
            for origin in ("https://elsewhere.example", "null", f"{strict}.example", "http://127.0.0.1", "http://["):
                assert await answer(path, origin) == 403, origin
            for origin in (strict, "https://friend.example"):
                assert await answer(path, origin) == 101, origin
        assert await answer("/v1/twilio/streams/order", "https://elsewhere.example") == 403
        assert await answer("/v1/twilio/streams/order", strict) == 404

    run(visit())


def test_a_thousand_connections_at_once_are_served_as_far_as_there_is_room(strict: str) -> None:
    async def attempt() -> int:
        try:
            async with socket_to(strict, SPEECH, **PCM) as socket:
                await write(socket, "Hi there.")
                await say(socket, type="input.done")
                await heard(socket, within_s=60)
                return 101
        except InvalidStatus as error:
            assert error.response.headers["Retry-After"]
            return error.response.status_code

    async def visit() -> None:
        answers = await asyncio.gather(*(attempt() for _ in range(1000)))
        assert set(answers) == {101, 503}
        assert answers.count(101) >= 20
        async with httpx.AsyncClient(base_url=strict) as client:
            assert (await client.get("/health/ready")).status_code == 200
        assert await attempt() == 101

    run(visit())
