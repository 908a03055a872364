"""Speech as ElevenLabs' clients ask for it: their own library, and messages as it knows them."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import string
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from typing import Any

import av
import httpx
import pytest
from elevenlabs.client import ElevenLabs
from elevenlabs.core.api_error import ApiError
from elevenlabs.types import (
    Alignment,
    AudioOutput,
    AudioOutputMulti,
    CloseContext,
    CloseSocket,
    FinalOutputMulti,
    FlushContext,
    InitializeConnectionMulti,
    KeepContextAlive,
    RealtimeVoiceSettings,
    SendTextMulti,
    VoiceSettings,
)
from pydantic import BaseModel
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError

from tests.gateways import gateway
from tests.live import TimedEngine, until
from tests.unit.test_pipeline import SteadyEngine

WORDS = ["Hello there, ", "my friend. ", "It costs $5 ", "for you."]
TEXT = "".join(WORDS)
PAUSE_S = 0.24
"""Between two sentences; what is coded ends with one, too."""

SLOW = [f"Passage {letter} takes its time." for letter in string.ascii_uppercase[:20]]
SLOW_S = 10.0
"""How long each of them takes, and lasts."""


def slow_engine() -> TimedEngine:
    """Return an engine that is slow with these, and gives as much sound of anything else at once."""
    return TimedEngine(dict.fromkeys(SLOW, SLOW_S), streams=True, sound_s=SLOW_S)


def library(stack: str) -> ElevenLabs:
    client = ElevenLabs(api_key="of no use", base_url=stack)
    # The library takes TLS for granted here, whatever the base URL says.
    client.text_to_speech._ws_base_url = stack.replace("http", "ws", 1)  # type: ignore[attr-defined]
    return client


@asynccontextmanager
async def socket_to(
    url: str, kind: str = "multi-stream-input", voice: str = "female", **query: object
) -> AsyncIterator[ClientConnection]:
    asked = "&".join(f"{name}={value}" for name, value in ({"output_format": "pcm_16000"} | query).items())
    path = f"{url.replace('http', 'ws', 1)}/v1/text-to-speech/{voice}/{kind}?{asked}"
    async with connect(path, additional_headers={"xi-api-key": "of no use"}) as socket:
        yield socket


async def say(socket: ClientConnection, *messages: BaseModel | dict[str, Any]) -> None:
    for message in messages:
        told = message if isinstance(message, dict) else message.model_dump(by_alias=True, exclude_none=True)
        await socket.send(json.dumps(told))


async def heard(socket: ClientConnection, finals: int = 1) -> list[dict[str, Any]]:
    """Return the messages until so many texts are over, or the connection is."""
    messages: list[dict[str, Any]] = []

    async def listen() -> None:
        async for raw in socket:
            messages.append(json.loads(raw))
            if sum(message.get("isFinal") is True for message in messages) == finals:
                return

    with suppress(ConnectionClosedError):
        await asyncio.wait_for(listen(), 20)
    return messages


def sound_s(messages: list[dict[str, Any]], context: str | None = None, rate_hz: int = 16_000) -> float:
    told = [AudioOutputMulti.model_validate(message) for message in messages if message.get("audio")]
    pcm = b"".join(base64.b64decode(one.audio) for one in told if context is None or one.context_id == context)
    return len(pcm) / 2 / rate_hz


def spoken_s(client: httpx.Client, text: str, **fields: object) -> float:
    body = {"input": text, "voice": "female", "response_format": "pcm", **fields}
    return len(client.post("/v1/audio/speech", json=body).content) / 2 / 24_000


def letters(messages: list[dict[str, Any]], field: str = "alignment") -> list[tuple[str, int, int]]:
    """Return each letter with its start and end in ms, counted as the clients of today count them."""
    told, clock = [], 0
    for message in messages:
        if (alignment := message.get(field)) is None:
            continue
        one = Alignment.model_validate(alignment)
        assert one.chars is not None and one.char_start_times_ms is not None and one.char_durations_ms is not None
        assert len(one.chars) == len(one.char_start_times_ms) == len(one.char_durations_ms)
        for letter, start, duration in zip(one.chars, one.char_start_times_ms, one.char_durations_ms, strict=True):
            told.append((letter, clock + start, clock + start + duration))
        clock = told[-1][2]
    return told


def run(work: Awaitable[None]) -> None:
    asyncio.run(asyncio.wait_for(work, 30))  # type: ignore[arg-type]


@pytest.mark.parametrize("output_format", ["mp3_44100_128", "opus_48000_64", "pcm_8000", "ulaw_8000", "alaw_8000"])
def test_the_library_hears_the_whole_text_in_every_format(stack: str, client: httpx.Client, output_format: str) -> None:
    def text() -> Iterator[str]:
        yield from WORDS

    settings = VoiceSettings(stability=0.4, speed=1.2)
    pieces = library(stack).text_to_speech.convert_realtime(
        "alloy", text=text(), model_id="eleven_flash_v2_5", output_format=output_format, voice_settings=settings
    )
    codec, rate_hz = output_format.split("_")[:2]
    data = b"".join(pieces)
    raw = {"pcm": "s16le", "ulaw": "mulaw", "alaw": "alaw"}.get(codec)
    with av.open(io.BytesIO(data), format=raw, options={"sample_rate": rate_hz} if raw else {}) as sound:
        duration_s = sum(frame.samples for frame in sound.decode(audio=0)) / int(rate_hz)
    expected_s = spoken_s(client, TEXT, speed=1.2) + (0.0 if raw else PAUSE_S)
    assert duration_s == pytest.approx(expected_s, abs=0.15)


def test_a_voice_or_format_that_is_not_there_is_told_by_the_library(stack: str) -> None:
    with pytest.raises(ApiError) as caught:
        list(library(stack).text_to_speech.convert_realtime("nobody", text=iter(["Hello. "])))
    assert "'nobody' was not found" in str(caught.value.body)
    assert caught.value.status_code == 1008
    with pytest.raises(ApiError, match="wav_24000"):
        text = iter(["Hello. "])  # without any, the library stumbles where it is refused early
        list(library(stack).text_to_speech.convert_realtime("female", text=text, output_format="wav_24000"))


def test_a_gender_is_a_voice_whatever_the_engine_calls_its_own() -> None:
    async def visit() -> None:
        engine = TimedEngine({})
        async with gateway(engine) as (url, _), socket_to(url, voice="male") as socket:
            await say(socket, {"text": "Hello. "}, CloseSocket(close_socket=True))
            assert any(message.get("audio") for message in await heard(socket))

    asyncio.run(visit())


def test_a_stored_voice_is_known_by_its_name_and_its_id(stack: str, client: httpx.Client) -> None:
    async def answer_of(voice: str) -> str:
        async with socket_to(stack, voice=voice) as socket:
            await say(socket, {"text": "Hello. "}, CloseSocket(close_socket=True))
            return str((await heard(socket))[0]["message"])

    body = {"input": TEXT, "voice": "female", "response_format": "wav"}
    sample = client.post("/v1/audio/speech", json=body).content
    stored = client.post("/v1/audio/voices", data={"name": "Elena"}, files={"audio_sample": sample}).json()
    try:
        for voice in ("elena", stored["id"]):
            assert "cannot clone a voice" in asyncio.run(answer_of(voice))  # which the engine says, once it is asked
    finally:
        client.delete("/v1/audio/voices/Elena")
    assert "'elena' was not found" in asyncio.run(answer_of("elena"))


@pytest.mark.parametrize("sync", ["true", "false"])
def test_every_letter_has_its_time_and_the_times_are_as_long_as_the_sound(stack: str, sync: str) -> None:
    async def visit() -> None:
        async with socket_to(stack, "stream-input", sync_alignment=sync) as socket:
            await say(socket, {"text": " "}, *({"text": word} for word in WORDS), {"text": ""})
            messages = await heard(socket)
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            assert socket.close_code == 1000
        assert messages[-1] == {"isFinal": True, "audio": None}
        assert all(AudioOutput.model_validate(message).audio for message in messages[:-1])
        written, said = letters(messages), letters(messages, "normalizedAlignment")
        assert "".join(letter for letter, _, _ in written) == f"{TEXT} "
        assert "".join(letter for letter, _, _ in said) == "Hello there my friend It costs five dollars for you "
        for told in (written, said):
            assert all(start <= end <= after for (_, start, end), (_, after, _) in pairwise(told))
            assert told[-1][2] / 1000 == pytest.approx(sound_s(messages), abs=0.002)
        if sync == "true":
            assert all(message["alignment"] for message in messages[:-1])
            first = messages[0]["alignment"]
            first_ms = first["charStartTimesMs"][-1] + first["charDurationsMs"][-1]
            assert 1000 * sound_s(messages[:1]) == pytest.approx(first_ms, abs=200)

    run(visit())


def test_words_that_are_known_after_their_sound_follow_at_the_end_of_the_sentence() -> None:
    async def visit() -> None:
        async with gateway(SteadyEngine()) as (url, _), socket_to(url, "stream-input", "tone") as socket:
            await say(socket, {"text": "One is here. Two is here. "}, {"text": ""})
            messages = await heard(socket)
        assert [message["alignment"] is None for message in messages[:2]] == [True, False]
        assert "".join(letter for letter, _, _ in letters(messages)) == "One is here. Two is here. "
        assert letters(messages)[-1][2] / 1000 == pytest.approx(sound_s(messages), abs=0.002)

    run(visit())


def test_contexts_are_spoken_side_by_side_and_each_ends_by_itself(stack: str, client: httpx.Client) -> None:
    async def visit() -> None:
        async with socket_to(stack) as socket:
            slow = RealtimeVoiceSettings(speed=0.8, stability=0.5)
            for name, settings in (("one", None), ("two", slow)):
                await say(socket, InitializeConnectionMulti(context_id=name, voice_settings=settings))
                await say(socket, SendTextMulti(text=TEXT + " ", context_id=name))
                await say(socket, FlushContext(context_id=name, text="And this, too. ", flush=True))
            await say(socket, CloseContext(context_id="one", close_context=True))
            await say(socket, CloseContext(context_id="two", close_context=True))
            messages = await heard(socket, finals=2)
            # Whoever closed a context may begin another one of the same name, or of none.
            await say(socket, SendTextMulti(text="Again. ", context_id="one", flush=True))
            await say(socket, {"text": "Nameless. ", "flush": True}, CloseSocket(close_socket=True))
            again = await heard(socket, finals=2)
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            assert socket.close_code == 1000
        whole = f"{TEXT} And this, too."
        assert sound_s(messages, "one") == pytest.approx(spoken_s(client, whole), abs=0.15)
        assert sound_s(messages, "two") == pytest.approx(spoken_s(client, whole, speed=0.8), abs=0.15)
        finals = [FinalOutputMulti.model_validate(message) for message in messages if message["isFinal"]]
        assert {final.context_id for final in finals} == {"one", "two"}
        order = [message["contextId"] for message in messages]
        assert order != sorted(order) and order != sorted(order, reverse=True)
        assert sound_s(again, "one") > 0.2 and sound_s(again, "default") > 0.2

    run(visit())


def test_closing_a_context_drops_what_was_not_flushed(stack: str, client: httpx.Client) -> None:
    async def visit() -> None:
        async with socket_to(stack) as socket:
            await say(socket, SendTextMulti(text="This is flushed. ", context_id="one", flush=True))
            await say(socket, SendTextMulti(text="this is not and never ends ", context_id="one"))
            await say(socket, CloseContext(context_id="one", close_context=True))
            await say(socket, SendTextMulti(text="all dropped ", context_id="two"))
            await say(socket, CloseContext(context_id="two", close_context=True))
            messages = await heard(socket, finals=2)
        assert sound_s(messages, "one") == pytest.approx(spoken_s(client, "This is flushed."), abs=0.1)
        assert sound_s(messages, "two") == 0.0

    run(visit())


def test_a_closed_context_is_over_at_once_and_its_name_is_free() -> None:
    async def visit() -> None:
        engine = slow_engine()
        async with gateway(engine, live_sentences=3) as (url, lane), socket_to(url, voice="tone") as socket:
            await say(socket, SendTextMulti(text=" ".join(SLOW) + " ", context_id="one"))
            assert AudioOutputMulti.model_validate_json(await asyncio.wait_for(socket.recv(), 10)).audio
            await say(socket, CloseContext(context_id="one", close_context=True))
            await say(socket, SendTextMulti(text="Now this. ", context_id="one", flush=True))
            await say(socket, CloseContext(context_id="one", close_context=True))
            closed, again = await heard(socket), await heard(socket)
            await until(lambda: lane.busy == lane.waiting == 0)
        assert sound_s(closed) < SLOW_S
        assert sound_s(again) == pytest.approx(SLOW_S)
        assert "".join(letter for letter, _, _ in letters(again)) == "Now this. "
        assert set(engine.asked) <= {*SLOW[:3], "Now this."}

    run(visit())


@pytest.mark.parametrize("auto_mode", ["true", "false"])
def test_a_closed_context_is_spoken_as_far_as_it_was_flushed(auto_mode: str) -> None:
    async def visit() -> None:
        engine = slow_engine()
        async with (
            gateway(engine, live_sentences=3) as (url, lane),
            socket_to(url, voice="tone", auto_mode=auto_mode) as socket,
        ):
            await say(socket, SendTextMulti(text="This was flushed. ", context_id="one"))
            await say(socket, FlushContext(context_id="one", flush=True))
            await say(socket, *(SendTextMulti(text=f"{text} ", context_id="one") for text in SLOW))
            await until(lambda: SLOW[0] in engine.asked)
            await say(socket, CloseContext(context_id="one", close_context=True))
            messages = await heard(socket)
            await until(lambda: lane.busy == lane.waiting == 0)
        whole = "".join(letter for letter, _, _ in letters(messages))
        assert whole.startswith("This was flushed. ")
        assert SLOW_S <= sound_s(messages) < 2 * SLOW_S
        assert set(engine.asked) <= {"This was flushed.", *SLOW[:4]}

    run(visit())


def test_closing_a_context_again_stops_even_what_was_flushed() -> None:
    async def visit() -> None:
        async with gateway(slow_engine()) as (url, lane), socket_to(url, voice="tone") as socket:
            await say(socket, SendTextMulti(text=SLOW[0], context_id="one", flush=True))
            await say(socket, CloseContext(context_id="one", close_context=True))
            assert AudioOutputMulti.model_validate_json(await asyncio.wait_for(socket.recv(), 10)).audio
            await say(socket, CloseContext(context_id="one", close_context=True))
            assert sound_s(await heard(socket)) < SLOW_S - 1
            await until(lambda: lane.busy == lane.waiting == 0)

    run(visit())


def test_the_turns_of_an_agent_that_is_interrupted() -> None:
    def turn(name: str, *texts: str) -> list[BaseModel]:
        settings = RealtimeVoiceSettings(speed=1.0, stability=0.5)
        opened = InitializeConnectionMulti(context_id=name, voice_settings=settings)
        return [opened, *(SendTextMulti(text=text, context_id=name) for text in texts)]

    def written(name: str) -> list[BaseModel]:
        return [FlushContext(context_id=name, flush=True), CloseContext(context_id=name, close_context=True)]

    async def visit() -> None:
        async with (
            gateway(slow_engine(), live_sentences=3) as (url, lane),
            socket_to(url, voice="tone", auto_mode="true") as socket,
        ):
            await say(socket, *turn("whole", "This is one.", "This is two."), *written("whole"))
            whole = await heard(socket)
            await say(socket, {"text": ""}, *turn("midway", *SLOW[:5]))
            await until(lambda: lane.busy == 3)
            await say(socket, CloseContext(context_id="midway", close_context=True))
            midway = await heard(socket)
            await say(socket, *turn("speaking", *SLOW[:5]), *written("speaking"))
            await until(lambda: lane.busy == 3)
            await say(socket, CloseContext(context_id="speaking", close_context=True))
            speaking = await heard(socket)
            await say(socket, FlushContext(context_id="never begun", flush=True))
            await say(socket, *turn("after", "This is three."), *written("after"), CloseSocket(close_socket=True))
            after = await heard(socket)
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            assert socket.close_code == 1000
        for name, messages in {"whole": whole, "midway": midway, "speaking": speaking, "after": after}.items():
            assert {message["contextId"] for message in messages} == {name}
            assert FinalOutputMulti.model_validate(messages[-1]).context_id == name
        assert sound_s(whole) == pytest.approx(2 * SLOW_S + PAUSE_S, abs=0.01)
        assert "".join(letter for letter, _, _ in letters(whole)) == "This is one. This is two. "
        assert sound_s(midway) < SLOW_S and sound_s(speaking) < SLOW_S
        assert sound_s(after) == pytest.approx(SLOW_S)

    run(visit())


def test_auto_mode_speaks_each_message_at_once(stack: str) -> None:
    async def visit() -> None:
        async with socket_to(stack, auto_mode="true") as socket:
            await say(socket, InitializeConnectionMulti(context_id="one"), SendTextMulti(text="Well", context_id="one"))
            assert AudioOutputMulti.model_validate_json(await asyncio.wait_for(socket.recv(), 5)).audio

    run(visit())


def test_a_context_that_fails_hurts_no_other_one_and_a_sixth_is_refused() -> None:
    async def visit() -> None:
        async with gateway(TimedEngine({})) as (url, _), socket_to(url, voice="tone") as socket:
            names = ["breaks", "two", "three", "four", "five", "six"]
            for name in names:
                await say(socket, SendTextMulti(text=f"This {name}. ", context_id=name, flush=True))
            for name in names:
                await say(socket, CloseContext(context_id=name, close_context=True))
            messages = await heard(socket, finals=5)
        wrong = {message["contextId"]: message for message in messages if "message" in message}
        assert set(wrong) == {"breaks", "six"}
        assert wrong["breaks"]["error"] == "engine_failed"
        assert "5 contexts are open" in wrong["six"]["message"]
        assert [sound_s(messages, name) for name in names] == [0.0, *[pytest.approx(0.2)] * 4, 0.0]

    run(visit())


def test_settings_of_a_context_stay(stack: str) -> None:
    async def visit() -> None:
        async with socket_to(stack) as socket:
            await say(socket, InitializeConnectionMulti(context_id="one"))
            await say(socket, {"text": "Hi. ", "context_id": "one", "voice_settings": {"speed": 1.1}})
            refused = json.loads(await socket.recv())
            assert (refused["contextId"], refused["error"]) == ("one", "invalid_request")
            await say(socket, {"text": "Hi. ", "context_id": "one", "flush": True, "close_socket": True})
            assert (await heard(socket))[-1]["isFinal"] is True

    run(visit())


def test_silence_ends_a_context_unless_it_is_kept_alive_and_then_the_connection(stack: str) -> None:
    async def visit() -> None:
        async with socket_to(stack, inactivity_timeout=0.4) as socket:
            for name in ("kept", "forgotten"):
                await say(socket, InitializeConnectionMulti(context_id=name))
            for _ in range(4):
                await asyncio.sleep(0.15)
                await say(socket, KeepContextAlive(context_id="kept"))
            (final,) = await heard(socket)
            assert final["contextId"] == "forgotten"
            messages = await heard(socket, finals=2)
            assert [message.get("contextId") for message in messages] == ["kept", None]
            assert "Nothing was sent for 0.4 s" in messages[-1]["message"]
            assert socket.close_code == 1008
        async with socket_to(stack, "stream-input", inactivity_timeout=0.1) as socket:
            assert "Nothing was sent" in (await heard(socket))[-1]["message"]

    run(visit())


@pytest.mark.parametrize("kind", ["stream-input", "multi-stream-input"])
def test_silence_ends_a_text_and_what_is_there_of_it_is_spoken(kind: str) -> None:
    async def visit() -> None:
        engine = TimedEngine({"It speaks still": 0.6}, streams=True, sound_s=0.6)
        async with gateway(engine) as (url, _), socket_to(url, kind, "tone", inactivity_timeout=0.2) as socket:
            await say(socket, {"text": "It is over. ", "flush": True}, {"text": "It speaks still"})
            assert sound_s(await heard(socket)) == pytest.approx(1.2 + PAUSE_S, abs=0.01)
            (told,) = await heard(socket)
            assert "Nothing was sent for 0.2 s" in told["message"]
            assert socket.close_code == 1008

    run(visit())


@pytest.mark.parametrize("message", ["{", "[]", '{"text": 7}', b"\0\1", '{"text": "' + "x" * 200_000 + '"}'])
@pytest.mark.parametrize("kind", ["stream-input", "multi-stream-input"])
def test_what_cannot_be_read_ends_the_connection_with_a_reason(stack: str, kind: str, message: str | bytes) -> None:
    async def visit() -> None:
        async with socket_to(stack, kind) as socket:
            await socket.send(message)
            (told,) = await heard(socket)
            assert told["message"] and told["code"] == socket.close_code == 1008

    run(visit())


@pytest.mark.parametrize(
    "query", [{"inactivity_timeout": 181}, {"enable_ssml_parsing": "true"}, {"output_format": "pcm_7"}, {"seed": "x"}]
)
def test_wishes_that_cannot_be_met_are_refused(stack: str, query: dict[str, object]) -> None:
    async def visit() -> None:
        async with socket_to(stack, **query) as socket:
            (told,) = await heard(socket)
            assert next(iter(query)) in told["message"]

    run(visit())


@pytest.mark.parametrize("leaves", [lambda socket: socket.close(), lambda socket: socket.transport.abort()])
def test_a_client_that_leaves_frees_the_lanes(leaves: Callable[[ClientConnection], Any]) -> None:
    async def visit() -> None:
        engine = TimedEngine({}, streams=True, sound_s=60.0)
        async with gateway(engine) as (url, lane), socket_to(url, voice="tone") as socket:
            for name in ("one", "two"):
                await say(socket, SendTextMulti(text="One is here. Two is here. ", context_id=name, flush=True))
            await until(lambda: lane.busy > 0)
            if (leaving := leaves(socket)) is not None:
                await leaving
            await until(lambda: lane.busy == lane.waiting == 0)

    run(visit())
