"""The cache, with a real Redis that comes and goes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from services.chassis.cache import Cache, MemoryCache, RedisCache, TieredCache
from services.tts.engines.qwen3.prompts import RedisPrompts
from services.tts.references import ReferenceSound, read_reference
from services.tts.voices import RedisShelf, Voices
from tests.clips import GOOD
from tests.redis import RedisProcess, running_redis
from tests.service.test_tts_voices import service, speak


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisProcess]:
    with running_redis(tmp_path) as process:
        yield process


async def kept(cache: Cache) -> None:
    assert await cache.get("a:1") is None
    for key in ("a:1", "a:2", "b:1", "a*:1"):
        await cache.put(key, key.encode())
    assert await cache.get("a:2") == b"a:2"
    assert await cache.remove("a:") == 2
    assert await cache.get("a:1") is None
    assert await cache.get("a*:1") == b"a*:1"
    assert await cache.remove("a*") == 1
    assert await cache.get("b:1") == b"b:1"
    await cache.close()


def test_memory_keeps_by_prefix() -> None:
    asyncio.run(kept(MemoryCache(10, 60)))


def test_redis_keeps_by_prefix(server: RedisProcess) -> None:
    async def visit() -> None:
        await kept(RedisCache(server.url, 60))
        await kept(TieredCache(MemoryCache(10, 60), RedisCache(server.url + "?db=1", 60)))

    asyncio.run(visit())


def test_memory_is_bounded_and_forgets() -> None:
    async def visit() -> None:
        cache = MemoryCache(2, ttl_s=0.05)
        await cache.put("a", b"1")
        await cache.put("b", b"2")
        assert await cache.get("a") == b"1"
        await cache.put("c", b"3")  # b was used least
        assert [await cache.get(key) for key in "abc"] == [b"1", None, b"3"]
        await asyncio.sleep(0.06)
        assert await cache.expire() == 2
        assert cache.size == 0

    asyncio.run(visit())


def test_redis_away_is_a_miss_told_once(server: RedisProcess, caplog: pytest.LogCaptureFixture) -> None:
    async def visit() -> None:
        cache = RedisCache(server.url, 60)
        await cache.put("a", b"1")
        server.stop()
        began = time.monotonic()
        for _ in range(5):
            assert await cache.get("a") is None
            await cache.put("a", b"1")
            assert await cache.remove("a") == 0
        assert time.monotonic() - began < 10
        server.start()
        await cache.put("a", b"2")
        assert await cache.get("a") == b"2"
        await cache.close()

    asyncio.run(visit())
    assert caplog.text.count("going on without the shared cache") == 1


def test_two_services_share_speech_through_redis(server: RedisProcess, tmp_path: Path) -> None:
    async def visit() -> None:
        async with service(tmp_path, redis_url=server.url) as (one, engine):
            digest = (await one.post("/v1/references", content=GOOD)).json()["reference"]
            for fields in ({}, {"reference": digest}):
                assert (await speak(one, **fields)).headers["x-talkie-cache"] == "miss"
            async with service(tmp_path, redis_url=server.url) as (other, second):
                for fields in ({}, {"reference": digest}):
                    assert (await speak(other, **fields)).headers["x-talkie-cache"] == "hit"
                assert (await speak(other, text="More", reference=digest)).status_code == 200
                assert len(second.spoken) == 1
            server.stop()
            assert (await speak(one, text="Redis is gone")).status_code == 200
            assert (await speak(one)).headers["x-talkie-cache"] == "hit"
            assert len(engine.spoken) == 3

    asyncio.run(visit())


def test_deleting_a_voice_purges_what_is_shared(server: RedisProcess, tmp_path: Path) -> None:
    async def visit() -> None:
        async with service(tmp_path, redis_url=server.url, voices_in_redis=True) as (client, _):
            await client.post("/v1/voices", data={"name": "Ann"}, files={"audio_sample": GOOD})
            await speak(client, voice="Ann")
            RedisPrompts(server.url, 60).put(f"{(await client.get('/v1/voices')).json()[0]['reference']}:x", b"prompt")
            held = redis.Redis(port=server.port)
            assert len(held.keys("tts:*")) == 2
            async with service(tmp_path, redis_url=server.url, voices_in_redis=True) as (other, _):
                assert (await speak(other, voice="ann")).headers["x-talkie-cache"] == "hit"
            await client.delete("/v1/voices/Ann")
            assert held.keys("*") == []

    asyncio.run(visit())


def test_prompts_without_redis_are_computed_again(caplog: pytest.LogCaptureFixture) -> None:
    prompts = RedisPrompts("redis://127.0.0.1:1/0", 60)
    prompts.put("a", b"1")
    assert prompts.get("a") is None
    assert "not shared" in caplog.text


def test_voices_on_a_redis_that_is_away(tmp_path: Path) -> None:
    from services.contract.errors import Unavailable

    async def visit() -> None:
        sample: ReferenceSound = read_reference(GOOD, 60)
        voices = Voices(RedisShelf("redis://127.0.0.1:1/0"), require_consent=False)
        with pytest.raises(Unavailable):
            await voices.add("Ann", sample, "", "")
        with pytest.raises(Unavailable):
            await voices.listed()
        with pytest.raises(Unavailable):
            await voices.find("Ann")

    asyncio.run(visit())


def test_what_another_version_kept_is_made_anew(server: RedisProcess, tmp_path: Path) -> None:
    async def visit() -> None:
        async with service(tmp_path, redis_url=server.url) as (client, _):
            await speak(client)
        held = redis.Redis(port=server.port)
        [key] = held.keys("tts:speech:*")
        held.set(key, b'{"type":"audio","colour":"blue"}\n')
        async with service(tmp_path, redis_url=server.url) as (client, _):
            answer = await speak(client)
            assert (answer.status_code, answer.headers["x-talkie-cache"]) == (200, "miss")

    asyncio.run(visit())
