"""Connections that speech is pushed over: how many there are, whose turn it is, and how large chunks are."""

from __future__ import annotations

import asyncio
import random
from itertools import groupby

import pytest

from services.contract.errors import EngineFailed
from services.contract.push import SUBPROTOCOL, DeliveryFailed, PushState
from services.gateway.push.delivery import Delivery
from services.gateway.push.messages import Session
from services.gateway.push.progress import Progress
from services.gateway.push.sizing import LEAST_CHUNK_BYTES, MOST_CHUNK_BYTES, ChunkSize
from services.gateway.push.target import Target
from tests.service.push_server import Manners, PushServer, push_server
from tests.service.pushing import CHUNK_BYTES, NOISE, Client, Speech, pushing, settings_for
from tests.service.roads import slow_road


@pytest.mark.parametrize("shares", [False, True])
def test_sessions_share_a_connection_where_the_server_takes_that(shares: bool) -> None:
    async def visit() -> None:
        async with pushing(Manners(shares=shares)) as (server, client):
            speeches = {
                name: Speech(random.Random(name).randbytes(90_000), every_s=0.002) for name in ("r1", "r2", "r3")
            }
            await asyncio.gather(*(client.push(speech, name) for name, speech in speeches.items()))
            for name, speech in speeches.items():
                assert server.sound(name) == speech.wav
                assert [end["status"] for end in server.ends(name)] == ["complete"]
            assert len(server.visits) == (1 if shares else 3)
            assert [visit.subprotocol for visit in server.visits] == ([SUBPROTOCOL] if shares else [None] * 3)
            inits = {message["phone_id"] for visit in server.visits for message in visit.messages if "type" in message}
            assert inits == {"phone-r1", "phone-r2", "phone-r3"}

    asyncio.run(visit())


def test_sessions_that_waited_to_know_whether_connections_are_shared_connect_side_by_side() -> None:
    async def visit() -> None:
        async with pushing(Manners(opens_after_s=0.3)) as (server, client):
            names = [f"r{number}" for number in range(5)]
            await asyncio.gather(*(client.push(Speech(NOISE[:9_000]), name) for name in names))
            assert len(server.visits) == 5
            assert server.most_opening > 1

    asyncio.run(visit())


def test_sessions_take_turns() -> None:
    async def visit() -> None:
        async with push_server(Manners(shares=True)) as server, slow_road(server.url, 600_000) as url:
            client = Client(settings_for(url, push_ack_timeout_s=5))
            await asyncio.gather(client.push(Speech(), "r1"), client.push(Speech(), "r2"))
            await client.aclose()
            [connection] = server.visits
            chunks = [one["metadata"]["requestId"] for one in connection.messages if "chunkIndex" in one]
            both = chunks[chunks.index("r2") : -chunks[::-1].index("r1") or None]
            assert len(both) > 15
            assert max(len(list(run)) for _, run in groupby(both)) <= 2

    asyncio.run(visit())


def test_one_that_fails_or_is_called_off_does_not_hurt_the_others() -> None:
    async def visit() -> None:
        manners = Manners(shares=True, ignores="r2", times=99)
        async with pushing(manners, push_max_retries=1, push_ack_timeout_s=0.2) as (server, client):
            good = asyncio.create_task(client.push(Speech(every_s=0.03)))
            ignored = asyncio.create_task(client.push(Speech(), "r2"))
            broken = asyncio.create_task(client.push(Speech(breaks=True), "r3"))
            called_off = asyncio.create_task(client.push(Speech(NOISE * 9, every_s=0.01), "r4"))
            await asyncio.sleep(0.3)
            called_off.cancel()
            told = await asyncio.gather(good, ignored, broken, called_off, return_exceptions=True)
            assert isinstance(told[0], PushState)
            assert [type(one) for one in told[1:]] == [DeliveryFailed, EngineFailed, asyncio.CancelledError]
            assert server.sound("r1") == Speech().wav
            assert len(server.visits) == 1
            assert [end["status"] for name in ("r1", "r3", "r4") for end in server.ends(name)] == [
                "complete",
                "failed",
                "failed",
            ]

    asyncio.run(visit())


@pytest.mark.parametrize("compression", [True, False])
def test_compression_is_negotiated(compression: bool) -> None:
    async def visit() -> None:
        async with pushing(Manners(), push_compression=compression) as (server, client):
            speech = Speech(bytes(100_000))
            await client.push(speech)
            assert [visit.compressed for visit in server.visits] == [compression]
            assert server.sound() == speech.wav

    asyncio.run(visit())


def sizes(server: PushServer) -> list[int]:
    return [len(chunk["audioDataBase64"]) * 3 // 4 for chunk in server.received()]


def test_chunks_grow_on_a_fast_connection() -> None:
    async def visit() -> None:
        async with pushing(Manners(), push_adaptive=True, push_ack_timeout_s=10) as (server, client):
            speech = Speech(NOISE * 25)
            await client.push(speech)
            assert server.sound() == speech.wav
            assert max(sizes(server)) > 4 * CHUNK_BYTES
            assert max(sizes(server)) <= MOST_CHUNK_BYTES + 2

    asyncio.run(visit())


def test_chunks_shrink_on_a_slow_connection() -> None:
    async def visit() -> None:
        async with push_server() as server, slow_road(server.url, 120_000) as url:
            client = Client(settings_for(url, push_adaptive=True, push_chunk_target_s=0.05, push_ack_timeout_s=5))
            await client.push(Speech())
            await client.aclose()
            assert server.sound() == Speech().wav
            assert sizes(server)[-2] < CHUNK_BYTES
            assert min(sizes(server)[1:-1]) >= LEAST_CHUNK_BYTES

    asyncio.run(visit())


def test_the_size_of_chunks_stays_within_bounds() -> None:
    size = ChunkSize(32_768, 0.25, adapts=True)
    for _ in range(20):
        size.measure(size.bytes, 1e-9)
    assert size.bytes == MOST_CHUNK_BYTES
    size.measure(100, 60.0)
    assert size.bytes == MOST_CHUNK_BYTES, "a small one tells nothing"
    for _ in range(20):
        size.measure(size.bytes, 60.0)
    assert size.bytes == LEAST_CHUNK_BYTES
    for _ in range(20):
        size.measure(size.bytes, size.bytes / 80_000)
    assert size.bytes == pytest.approx(20_000, rel=0.01)
    fixed = ChunkSize(32_768, 0.25, adapts=False)
    fixed.measure(32_768, 60.0)
    assert fixed.bytes == 32_768


def test_a_message_stays_below_a_mebibyte_whatever_the_text() -> None:
    async def visit() -> None:
        async with push_server() as server:
            settings = settings_for(server.url, push_chunk_bytes=524_288)
            session = Session("r1", "s", "p", "\U0001f600\n" * 150_000)
            session.check()
            progress, speech = Progress("r1"), Speech(NOISE * 10)
            target = Target(settings)
            await Delivery(settings, target, session, progress).run(speech.pieces())
            await target.aclose()
            assert server.sound() == speech.wav, "the server's library takes no more than that"
            assert progress.state.reconnects == 0

    asyncio.run(visit())
