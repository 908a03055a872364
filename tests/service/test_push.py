"""Speech pushed to a server that refuses, hangs up, loses, ignores and lags."""

from __future__ import annotations

import asyncio
import time

import pytest

from services.contract.errors import EngineFailed
from services.contract.push import DeliveryFailed, PushState
from services.gateway.push.progress import Progress
from services.gateway.push.window import MOST_CHUNKS
from tests.service.push_server import Manners, PushServer, push_server
from tests.service.pushing import CHUNK_BYTES, NOISE, Client, Speech, pushing, settings_for
from tests.service.roads import long_road


def indices(server: PushServer, visit: int) -> list[int]:
    return [chunk["chunkIndex"] for chunk in server.visits[visit].chunks()]


def test_the_protocol_to_the_letter() -> None:
    async def visit() -> None:
        async with pushing(Manners()) as (server, client):
            speech = Speech()
            state = await client.push(speech)
            [connection] = server.visits
            assert connection.headers["phone-id"] == "phone-r1"
            assert connection.headers["session-id"] == "session-r1"
            init, *chunks, end = connection.messages
            assert init == {"type": "init", "session_id": "session-r1", "phone_id": "phone-r1"}
            metadata = {
                "sessionId": "session-r1",
                "requestId": "r1",
                "phoneId": "phone-r1",
                "text": "Hello, wörld \U0001f600.",
                "engine": "espeak",
                "language": "en",
            }
            assert end == {"status": "complete", "totalChunks": len(chunks), "metadata": metadata}
            for number, chunk in enumerate(chunks):
                assert set(chunk) == {"audioDataBase64", "fileName", "chunkIndex", "isFirst", "metadata"}
                assert (chunk["chunkIndex"], chunk["isFirst"], chunk["fileName"]) == (number, number == 0, "r1.wav")
                assert chunk["metadata"] == metadata
            assert server.sound() == speech.wav
            assert (state.success, state.chunks_delivered, state.total_chunks) == (True, len(chunks), len(chunks))
            assert (state.bytes_delivered, state.reconnects, state.chunks_resent) == (len(speech.wav), 0, 0)

    asyncio.run(visit())


NONE = range(1)
MISBEHAVIOURS: dict[str, tuple[Manners, range]] = {
    "refuses": (Manners(refuses=3), NONE),
    "closes": (Manners(closes_after=3, times=2), NONE),
    "closes, as if all were well": (Manners(closes_after=3, close_code=1000), NONE),
    "closes after the last chunk": (Manners(closes_after=15, close_code=1000), NONE),
    "closes after each chunk": (Manners(closes_after=1, times=99), NONE),
    "aborts in mid-message": (Manners(aborts_after_bytes=30_000, times=3), range(3 + 1)),
    "loses": (Manners(loses_after=4), range(1 + 1)),
    "reads slowly": (Manners(reads_every_s=0.02), NONE),
    "says garbage": (Manners(garbage=True), NONE),
    "hangs up when it has the end": (Manners(closes_at_end=True), NONE),
    "never pongs, but acknowledges": (Manners(acks=True, never_pongs=True, times=99), NONE),
    "never pongs at first": (Manners(never_pongs=True, times=2), range(2, 2 + 1)),
    "never reads at first": (Manners(never_reads=True), NONE),
    "shares": (Manners(shares=True), NONE),
    "shares and closes": (Manners(shares=True, closes_after=3, times=2), NONE),
    "shares and aborts": (Manners(shares=True, aborts_after_bytes=30_000, times=3), range(3 * MOST_CHUNKS + 1)),
    "shares, loses": (Manners(shares=True, loses_after=4), range(1, 1 + 1)),
    "shares, forgets, and its connection pongs": (Manners(shares=True, forgets_after=4, times=2), range(2, 2 + 1)),
    "shares and ignores for a while": (Manners(shares=True, ignores="r1"), NONE),
}
"""And how many chunks are then read twice: of those that were not acknowledged the first time."""


@pytest.mark.parametrize("name", MISBEHAVIOURS)
def test_all_is_delivered_in_order_and_only_what_was_not_acknowledged_twice(name: str) -> None:
    manners, twice = MISBEHAVIOURS[name]

    async def visit() -> None:
        async with pushing(manners) as (server, client):
            speech = Speech()
            state = await client.push(speech)
            await server.until(server.ends)
            assert server.sound() == speech.wav
            assert server.ends()[-1]["totalChunks"] == state.total_chunks == state.chunks_delivered
            assert server.read_twice() in twice
            assert server.read_in_vain() == []
            assert server.read_twice() <= state.chunks_resent <= state.reconnects * MOST_CHUNKS
            assert speech.closed

    asyncio.run(visit())


@pytest.mark.parametrize(("shares", "cut_after_bytes"), [(False, 20), (True, 60)])
def test_on_a_long_road_that_is_cut_it_goes_on_where_it_was(shares: bool, cut_after_bytes: int) -> None:
    async def visit() -> None:
        # The pongs of two chunks have come back by then, or the acknowledgement of one.
        cuts = [cut_after_bytes] * 3
        async with push_server(Manners(shares=shares)) as server, long_road(server.url, 0.015, cuts) as url:
            client, speech = Client(settings_for(url, push_ack_timeout_s=5)), Speech(NOISE * 3)
            state = await client.push(speech)
            await client.aclose()
            assert server.sound() == speech.wav
            assert len(server.ends()) == 1
            assert state.reconnects == len(cuts)
            begins = [indices(server, visit)[0] for visit in range(len(server.visits))]
            assert begins == sorted(set(begins)), "what had come back as acknowledged is not sent again"
            # Of what was under way, some had arrived: of a whole window, or the only one.
            assert server.read_twice() <= state.chunks_resent <= state.reconnects * (MOST_CHUNKS if shares else 1)

    asyncio.run(visit())


@pytest.mark.parametrize("shares", [False, True])
def test_only_what_is_missing_is_sent_again(shares: bool) -> None:
    async def visit() -> None:
        async with pushing(Manners(shares=shares, closes_after=3, times=2)) as (server, client):
            state = await client.push(Speech())
            assert state.reconnects == 2
            assert [indices(server, visit)[0] for visit in range(3)] == [0, 3, 6]
            assert len(server.received()) == state.total_chunks
            assert [visit.messages[0]["type"] for visit in server.visits] == ["init"] * 3
            # A plain server has one chunk under way at most, so at most one is sent again each time.
            assert state.chunks_resent <= 2 * (MOST_CHUNKS if shares else 1)

    asyncio.run(visit())


def test_who_hangs_up_before_the_end_has_not_all_of_it_however_politely() -> None:
    async def visit() -> None:
        async with pushing(Manners(closes_after=2, close_code=1000)) as (server, client):
            speech = Speech(NOISE[:40_000], every_s=0.02)
            state = await client.push(speech)
            assert server.sound() == speech.wav
            assert state.reconnects == 1
            assert len(server.ends()) == 1

    asyncio.run(visit())


def test_what_a_program_has_forgotten_its_connection_does_not_vouch_for() -> None:
    async def visit() -> None:
        async with pushing(Manners(shares=True, forgets_after=4)) as (server, client):
            await client.push(Speech())
            assert indices(server, 0) == [0, 1, 2, 3]
            assert indices(server, 1)[0] == 3, "the fourth was read, but not acknowledged"

    asyncio.run(visit())


@pytest.mark.parametrize(
    ("manners", "why"),
    [
        (Manners(refuses=99), "503"),
        (Manners(never_reads=True, times=99), "acknowledged nothing"),
        (Manners(never_pongs=True, times=99), "acknowledged nothing"),
        (Manners(shares=True, ignores="r1", times=99), "acknowledged nothing"),
        (Manners(closes_after=1, close_code=1011, times=99, never_pongs=True), "1011"),
    ],
)
def test_who_does_not_take_it_is_given_up(manners: Manners, why: str) -> None:
    async def visit() -> None:
        async with pushing(manners, push_max_retries=2, push_ack_timeout_s=0.2) as (server, client):
            speech = Speech(NOISE * 40)
            with pytest.raises(DeliveryFailed, match=why) as caught:
                await client.push(speech)
            assert "3 times in a row" in caught.value.detail
            assert "0 of" in caught.value.detail
            assert server.refused + len(server.visits) == 3
            assert speech.closed
            assert speech.spoken_bytes <= (MOST_CHUNKS + 2) * CHUNK_BYTES, "who is not heard does not speak"

    asyncio.run(visit())


def test_nobody_there() -> None:
    async def visit() -> None:
        client = Client(settings_for("ws://127.0.0.1:1/push", push_max_retries=1))
        with pytest.raises(DeliveryFailed, match="cannot be reached"):
            await client.push(Speech())

    asyncio.run(visit())


def test_progress_counts_anew() -> None:
    async def visit() -> None:
        async with pushing(Manners(closes_after=2, times=99), push_max_retries=1) as (server, client):
            state = await client.push(Speech())
            assert state.reconnects > 3
            assert len(server.visits) == state.reconnects + 1

    asyncio.run(visit())


def test_speech_that_breaks_off_is_never_called_complete() -> None:
    async def visit() -> None:
        async with pushing(Manners()) as (server, client):
            with pytest.raises(EngineFailed):
                await client.push(Speech(breaks=True))
            await client.aclose()
            assert server.received()
            assert server.ends() == []

    asyncio.run(visit())


def test_sound_goes_out_while_it_is_spoken() -> None:
    async def visit() -> None:
        async with pushing(Manners()) as (server, client):
            speech = Speech(NOISE, every_s=0.02)
            pushed = asyncio.create_task(client.push(speech))
            await server.until(server.received)
            assert speech.spoken_bytes < len(NOISE) / 4
            await pushed

    asyncio.run(visit())


def test_who_follows_sees_the_end() -> None:
    async def visit() -> None:
        progress = Progress("r1")
        seen: list[PushState] = []

        async def follow() -> None:
            async for state in progress.follow():
                assert state is not None
                seen.append(state)

        following = asyncio.create_task(follow())
        await asyncio.sleep(0)
        for sent in range(1, 4):
            progress.change(chunks_sent=sent)
            progress.change(chunks_delivered=sent)
            await asyncio.sleep(0.01)
        progress.complete()
        await asyncio.wait_for(following, 2)
        assert [state.status for state in seen] == ["queued"] * (len(seen) - 1) + ["completed"]
        assert seen[-1].success is True
        assert len(seen) >= 4

    asyncio.run(visit())


def test_hanging_up_on_a_server_that_reads_nothing_costs_no_more_than_its_time() -> None:
    async def visit() -> None:
        # What it does not read fills all buffers on the way, so that not even a close frame gets out.
        manners = Manners(shares=True, never_reads=True, times=99)
        large = {"push_chunk_bytes": 524_288, "push_compression": False, "push_ack_timeout_s": 60.0}
        async with push_server(manners) as server:
            client = Client(settings_for(server.url, **large))
            pushed = asyncio.create_task(client.push(Speech(NOISE * 100)))
            await asyncio.sleep(0.5)
            pushed.cancel()
            with pytest.raises(asyncio.CancelledError):
                await pushed
            began = time.monotonic()
            await asyncio.wait_for(client.aclose(), 10)
            assert time.monotonic() - began < 5

    asyncio.run(visit())
