"""Telephone calls: Twilio's side of a stream, and the application that says what to speak."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import io
import json
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import av
import httpx
import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.gateways import gateway
from tests.live import TimedEngine, until
from tests.stack.twilio_call import FORMAT, RATE_HZ, TwilioCall, sound_of

FAST = 20.0
CONFIG = {"type": "session.config", "voice": "female", "language": "English"}
LONG = "This one goes on for a good while, far longer than anybody on the telephone would listen to it. "
AHEAD_S = 2.0
_TRIES = 100


def run(work: Awaitable[None]) -> None:
    asyncio.run(asyncio.wait_for(work, 30))  # type: ignore[arg-type]


@asynccontextmanager
async def application(
    url: str, name: str, waiting_for: tuple[int, ...] = (404,), **config: object
) -> AsyncIterator[ClientConnection]:
    path = f"{url.replace('http', 'ws', 1)}/v1/twilio/streams/{name}"
    for _ in range(_TRIES):
        try:
            socket = await connect(path)
            break
        except InvalidStatus as refused:
            # Here all begin at once; elsewhere Twilio tells an application when its stream has started.
            if refused.response.status_code not in waiting_for:
                raise
            await asyncio.sleep(0.02)
    async with socket:
        assert json.loads(await socket.recv())["type"] == "call.started"
        await say(socket, **(CONFIG | config))
        yield socket


async def say(socket: ClientConnection, **message: object) -> None:
    await socket.send(json.dumps(message))


async def write(socket: ClientConnection, text: str) -> None:
    await say(socket, type="input.text", text=text)
    await say(socket, type="input.done")


async def heard(socket: ClientConnection, last: str, count: int = 1) -> list[dict[str, Any]]:
    """Return the events until so many of type `last` have come."""
    events: list[dict[str, Any]] = []
    while sum(event["type"] == last for event in events) < count:
        events.append(json.loads(await asyncio.wait_for(socket.recv(), 10)))
    return events


def of(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event for event in events if event["type"] == kind]


def spoken_s(client: httpx.Client, text: str) -> float:
    body = {"input": text, "voice": "female", "response_format": "pcm"}
    return len(client.post("/v1/audio/speech", json=body).content) / 2 / 24_000


def loudness(mu_law: bytes) -> float:
    with av.open(io.BytesIO(mu_law), format="mulaw", options={"sample_rate": str(RATE_HZ)}) as sound:
        samples = np.concatenate([frame.to_ndarray()[0] for frame in sound.decode(audio=0)])
    return float(np.sqrt(np.mean(samples.astype(float) ** 2)))


def test_the_caller_hears_the_greeting(stack: str, client: httpx.Client) -> None:
    async def visit() -> None:
        greeting = "Hello, this is Talkie. Yes?"
        async with TwilioCall.connected(stack, speed=FAST, say=greeting, voice="female") as call:
            await until(lambda: len(call.marks) == 2)
        assert len(call.played) / RATE_HZ == pytest.approx(spoken_s(client, greeting), abs=0.1)
        assert 500 < loudness(bytes(call.played)) < 12_000
        sizes = [len(sound_of(message)) for message in call.events("media")]
        assert max(sizes) <= RATE_HZ // 5
        assert [message["mark"]["name"] for message in call.events("mark")] == call.marks

    run(visit())


def test_an_application_speaks_and_is_told_what_was_heard(stack: str) -> None:
    async def visit() -> None:
        async with (
            TwilioCall.connected(stack, speed=FAST, name="lobby") as call,
            application(stack, "lobby", caller_audio=True) as socket,
        ):
            await write(socket, "One. Two. Three.")
            await write(socket, "Four.")
            events = await heard(socket, "playback", 4)
            while len(of(events, "session.done")) < 2:  # Twilio may tell that the last one was heard before that
                events += await heard(socket, "session.done")
            await call.press("5")
            assert (await heard(socket, "dtmf"))[-1]["digit"] == "5"
            await say(socket, type="session.close")
            with pytest.raises(ConnectionClosed):
                while True:
                    await socket.recv()
        places = [(0, 0), (0, 1), (0, 2), (1, 0)]
        for kind in ("audio.start", "audio.done", "playback"):
            assert [(event["utterance_index"], event["sentence_index"]) for event in of(events, kind)] == places
        starts = [event["sentence_text"] for event in of(events, "audio.start")]
        assert starts == ["One.", "Two.", "Three.", "Four."]
        assert [event["total_sentences"] for event in of(events, "session.done")] == [3, 1]
        duration_s = sum(event["duration_ms"] for event in of(events, "audio.done")) / 1000
        assert len(call.played) / RATE_HZ == pytest.approx(duration_s, abs=0.01)
        first, second = of(events, "caller.media")[:2]
        assert len(base64.b64decode(first["audio_b64"])) == 160
        assert second["timestamp_ms"] - first["timestamp_ms"] == 20

    run(visit())


def test_what_is_interrupted_is_not_heard_any_more(stack: str, client: httpx.Client) -> None:
    async def visit() -> None:
        async with TwilioCall.connected(stack) as call, application(stack, call.sid) as socket:
            await write(socket, f"Hi there. {LONG * 3}")
            await write(socket, "This comes after it and is never heard.")
            before = await heard(socket, "playback")
            await asyncio.sleep(0.4)
            assert AHEAD_S - 0.5 < call.sent_s - len(call.played) / RATE_HZ < AHEAD_S + 0.3
            await say(socket, type="interrupt")
            (interrupted,) = of(await heard(socket, "interrupted"), "interrupted")
            await write(socket, "All new.")
            after = await heard(socket, "playback")
        assert of(before, "playback")[0]["sentence_index"] == 0
        assert interrupted["last_played"] == {"utterance_index": 0, "sentence_index": 0}
        assert interrupted["sentence_index"] == 1 and interrupted["last_word"] in LONG.split()
        assert interrupted["sent_ms"] / 1000 < call.sent_s
        # Marks that Twilio tells only because it clears are no sentences that were heard.
        assert [event["utterance_index"] for event in of(after, "playback")] == [2]
        cleared = next(at for at, message in enumerate(call.got) if message["event"] == "clear")
        new = [message for message in call.got[cleared:] if message["event"] == "media"]
        new_s = sum(len(sound_of(message)) for message in new) / RATE_HZ
        assert new_s == pytest.approx(spoken_s(client, "All new."), abs=0.1)
        assert [event["sentence_text"] for event in of(after, "audio.start")] == ["All new."]

    run(visit())


def test_a_greeting_can_be_interrupted_and_calls_do_not_disturb_each_other(stack: str) -> None:
    async def visit() -> None:
        async with (
            TwilioCall.connected(stack, sid="MZ1", say=LONG * 3, name="same") as one,
            TwilioCall.connected(stack, sid="MZ2", speed=FAST, say="Hello. Hello.", name="same") as other,
            application(stack, "same") as socket,
        ):
            await until(lambda: one.sent_s > 0.2)
            await say(socket, type="interrupt")
            (interrupted,) = of(await heard(socket, "interrupted"), "interrupted")
            assert (interrupted["utterance_index"], interrupted["last_played"]) == (-1, None)
            await until(lambda: len(other.marks) == 2)
            assert one.events("clear") and not other.events("clear")
            sent_s = one.sent_s
            await asyncio.sleep(0.3)
            assert one.sent_s == sent_s
            async with application(stack, "MZ2"):
                pass  # of two with the same name, the later one is found by its SID
            with pytest.raises(InvalidStatus) as caught:
                async with application(stack, "MZ1"):
                    pass
            assert caught.value.response.status_code == 409

    run(visit())


def test_an_application_that_leaves_may_come_back(stack: str) -> None:
    async def visit() -> None:
        async with TwilioCall.connected(stack, speed=FAST) as call:
            async with application(stack, call.sid) as socket:
                await write(socket, LONG)
                await heard(socket, "audio.start")
            async with application(stack, call.sid, waiting_for=(409,)) as socket:
                await write(socket, "Back again.")
                events = await heard(socket, "playback")
        assert [event["sentence_text"] for event in of(events, "audio.start")] == ["Back again."]

    run(visit())


def test_an_unknown_call_is_refused_and_so_is_a_wrong_configuration(stack: str) -> None:
    async def visit() -> None:
        with pytest.raises(InvalidStatus) as caught:
            await connect(f"{stack.replace('http', 'ws', 1)}/v1/twilio/streams/nobody")
        assert caught.value.response.status_code == 404
        assert json.loads(caught.value.response.body)["code"] == "not_found"
        async with TwilioCall.connected(stack) as call, application(stack, call.sid, speed=9) as socket:
            assert "speed" in (await heard(socket, "error"))[-1]["message"]

    run(visit())


def test_what_has_no_effect_in_a_call_is_told(stack: str) -> None:
    async def visit() -> None:
        async with TwilioCall.connected(stack) as call, application(stack, call.sid, response_format="mp3") as socket:
            assert (await heard(socket, "warning"))[-1]["params"] == ["response_format"]
            await write(socket, "In µ-law.")
            assert (await heard(socket, "audio.start"))[-1]["format"] == "ulaw"

    run(visit())


START = {"event": "start", "start": {"streamSid": "MZ1", "mediaFormat": FORMAT}}


@pytest.mark.parametrize(
    "first",
    [
        "{",
        b"\xff" * 160,
        '{"event": "media", "media": {"payload": ""}}',
        '{"event": "start"}',
        '{"event": "start", "start": []}',
        json.dumps(START | {"start": {"streamSid": "MZ1", "mediaFormat": FORMAT | {"sampleRate": 16_000}}}),
        "x" * 200_000,
    ],
)
def test_who_does_not_begin_as_twilio_does_is_sent_away(stack: str, first: str | bytes) -> None:
    async def visit() -> None:
        async with connect(f"{stack.replace('http', 'ws', 1)}/v1/twilio/stream") as socket:
            await socket.send(first)
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            assert socket.close_code == 1008 and socket.close_reason

    run(visit())


def test_a_call_outlives_messages_that_nobody_knows(stack: str) -> None:
    async def visit() -> None:
        async with TwilioCall.connected(stack, speed=FAST) as call, application(stack, call.sid) as socket:
            for raw in ("{", b"\0\1", "[]", '{"event": "new"}', '{"event": "media"}', '{"event": "mark", "mark": 3}'):
                await call.send_raw(raw)
            await call.say("mark", mark={"name": "never sent"})
            await write(socket, "Still here.")
            events = await heard(socket, "playback")
            assert len(of(events, "playback")) == 1
            await call.hang_up()
            assert (await heard(socket, "call.ended"))[-1]["stream_sid"] == call.sid

    run(visit())


@pytest.mark.parametrize("politely", [True, False])
def test_hanging_up_in_mid_sentence_frees_everything(politely: bool) -> None:
    async def visit() -> None:
        engine = TimedEngine({}, streams=True, sound_s=60.0)
        async with gateway(engine) as (url, lane):
            async with TwilioCall.connected(url, say="One is here. Two is here.", voice="tone") as call:
                async with application(url, call.sid, voice="tone") as socket:
                    await say(socket, type="interrupt")
                    await write(socket, "Three is here. Four is here.")
                    await heard(socket, "audio.start")
                    await until(lambda: lane.busy > 0)
                    if politely:
                        await call.hang_up()
                    else:
                        call._socket.transport.abort()
                    await heard(socket, "call.ended")
                    with pytest.raises(ConnectionClosed):
                        await socket.recv()
                    assert socket.close_code == 1000
                await until(lambda: lane.busy == lane.waiting == 0)
            with pytest.raises(InvalidStatus):
                await connect(f"{url.replace('http', 'ws', 1)}/v1/twilio/streams/{call.sid}")

    run(visit())


def test_an_application_speaks_after_the_greeting() -> None:
    async def visit() -> None:
        async with (
            gateway(TimedEngine({"Welcome.": 0.4})) as (url, _),
            TwilioCall.connected(url, say="Welcome.", voice="tone") as call,
            application(url, call.sid, voice="tone") as socket,
        ):
            await write(socket, "Now I.")
            events = of(await heard(socket, "playback", 2), "playback")
        assert [event["utterance_index"] for event in events] == [-1, 0]

    run(visit())


def test_a_sentence_that_fails_is_told_and_the_rest_is_said() -> None:
    async def visit() -> None:
        async with (
            gateway(TimedEngine({})) as (url, _),
            TwilioCall.connected(url, speed=FAST, say="This breaks. This is fine.", voice="tone") as call,
            application(url, call.sid, voice="tone") as socket,
        ):
            await write(socket, "One is here. Two breaks. Three is here.")
            events = await heard(socket, "session.done")
            await until(lambda: len(call.marks) == 3)
        assert [event["sentence_index"] for event in of(events, "error")] == [1]
        assert (events[-1]["total_sentences"], events[-1]["failed_sentences"]) == (2, 1)

    run(visit())


def test_with_a_token_only_twilio_may_call() -> None:
    def signed(url: str) -> dict[str, str]:
        digest = hmac.new(b"secret", url.encode(), hashlib.sha1).digest()
        return {"X-Twilio-Signature": base64.b64encode(digest).decode()}

    async def visit() -> None:
        settings = {"twilio_auth_token": "secret", "public_url": "https://voice.example"}
        async with gateway(TimedEngine({}), **settings) as (url, _):
            path = "/v1/twilio/stream"
            here, public = url.replace("http", "wss", 1) + path, f"wss://voice.example{path}"
            for right in (here, public, f"wss://voice.example:443{path}"):
                async with TwilioCall.connected(url, headers=signed(right), speed=FAST, say="Hi.") as call:
                    await until(lambda: len(call.marks) == 1)
            for wrong in (signed(public + "/"), signed("wss://other.example" + path), {"X-Twilio-Signature": "é"}, {}):
                with pytest.raises(InvalidStatus) as caught:
                    async with TwilioCall.connected(url, headers=wrong):
                        pass
                assert caught.value.response.status_code == 403

    run(visit())
