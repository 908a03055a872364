"""The cache, with a real Redis that comes and goes."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import redis
from prometheus_client import CollectorRegistry

from services.chassis.cache.claims import claimed
from services.chassis.cache.disk import DiskCache
from services.chassis.cache.failures import CacheFailures
from services.chassis.cache.levels import Cache, MemoryCache, TieredCache
from services.chassis.cache.shared import RedisCache
from services.contract.events import decode_speech
from services.contract.speech import Generation, SpeechRequest, join_chunks
from services.tts.engines.qwen3.prompts import RedisPrompts
from services.tts.references import ReferenceSound, read_reference
from services.tts.registry import MAKERS
from services.tts.settings import TtsSettings
from services.tts.voices import RedisShelf, Voices
from tests.clips import GOOD
from tests.qwen3 import DIGEST, REFERENCE, TinyQwen
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


class Counted:
    """A registry, and what was counted in it."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.failures = CacheFailures(self.registry)

    def __call__(self, level: str, operation: str) -> float:
        labels = {"level": level, "operation": operation}
        return self.registry.get_sample_value("talkie_cache_failures_total", labels) or 0.0


def shared(server: RedisProcess, counted: Counted | None = None, *, db: int = 0) -> RedisCache:
    return RedisCache(server.url.removesuffix("0") + str(db), 60, (counted or Counted()).failures)


def on_disk(folder: Path, *, max_bytes: int = 10_000, ttl_s: float = 60, counted: Counted | None = None) -> DiskCache:
    return DiskCache(folder / "kept" / "a.sqlite3", max_bytes, ttl_s, (counted or Counted()).failures)


def test_memory_keeps_by_prefix() -> None:
    asyncio.run(kept(MemoryCache(10, 60)))


def test_redis_keeps_by_prefix(server: RedisProcess) -> None:
    async def visit() -> None:
        await kept(shared(server))
        await kept(TieredCache([MemoryCache(10, 60), shared(server, db=1)]))

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


def test_what_weighs_too_much_for_memory_is_not_kept() -> None:
    async def visit() -> None:
        cache = MemoryCache(1_000, 60, in_bytes=True)
        await cache.put("a", bytes(400))
        await cache.put("b", bytes(600))
        assert (await cache.get("a"), await cache.get("b")) == (bytes(400), None)

    asyncio.run(visit())


def test_the_disk_keeps_by_prefix_and_across_processes(tmp_path: Path) -> None:
    async def visit() -> None:
        await kept(on_disk(tmp_path))
        one, other = on_disk(tmp_path), on_disk(tmp_path)
        await one.put("x", b"1")
        assert await other.get("x") == b"1"
        await one.put("x", b"2")
        assert await other.get("x") == b"2"

    asyncio.run(visit())


def test_the_disk_is_bounded_by_bytes_and_time(tmp_path: Path) -> None:
    now = [1000.0]

    async def visit() -> None:
        cache = DiskCache(tmp_path / "a", 100_000, 500, Counted().failures, now=lambda: now[0])
        for number in range(9):
            now[0] += 1
            await cache.put(f"k{number}", bytes(9_800))
        now[0] += 100
        assert await cache.get("k0") is not None  # which makes it the last one used
        await cache.put("new", bytes(29_700))
        left = [number for number in range(9) if await cache.get(f"k{number}") is not None]
        assert left == [0, *range(4, 9)]
        assert await cache.get("new") is not None
        await cache.put("huge", bytes(50_001))
        assert await cache.get("huge") is None
        now[0] += 450
        assert await cache.get("k8") is None
        assert await cache.expire() == 6
        assert await cache.get("new") is not None

    asyncio.run(visit())


def test_a_damaged_or_missing_disk_is_a_miss_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    counted = Counted()

    async def visit() -> None:
        file = tmp_path / "kept" / "a.sqlite3"
        file.parent.mkdir()
        file.write_bytes(b"this is no database" * 1000)
        cache = on_disk(tmp_path, counted=counted)
        assert await cache.get("a") is None  # and removes it
        await cache.put("a", b"1")
        assert await cache.get("a") == b"1"
        await cache.close()
        lost = DiskCache(file / "not" / "a" / "folder", 1000, 60, counted.failures)
        for _ in range(3):
            await lost.put("a", b"1")
            assert await lost.get("a") is None

    asyncio.run(visit())
    assert caplog.text.count("going on without the cache in") == 2
    assert (counted("disk", "get"), counted("disk", "put")) == (4, 3)


def test_redis_away_is_a_miss_told_once(server: RedisProcess, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    counted = Counted()

    async def visit() -> None:
        cache = shared(server, counted)
        await cache.put("a", b"1")
        server.stop()
        began = time.monotonic()
        for _ in range(50):
            assert await cache.get("a") is None
            await cache.put("a", b"1")
            assert await cache.remove("a") == 0
        assert time.monotonic() - began < 5
        server.start()
        await until_back(cache)
        await cache.close()

    asyncio.run(visit())
    assert caplog.text.count("going on without the shared cache") == 1
    assert caplog.text.count("the shared cache is back") == 1
    assert counted("redis", "get") + counted("redis", "put") >= 1


def test_redis_that_hangs_costs_one_request_a_moment(server: RedisProcess) -> None:
    async def visit() -> None:
        cache = shared(server)
        await cache.put("a", b"1")
        with server.frozen():
            began = time.monotonic()
            for _ in range(20):
                assert await cache.get("a") is None
            assert time.monotonic() - began < 1.5  # one waited, the others did not ask
        await until_back(cache)
        assert await cache.get("a") == b"1"
        await cache.close()

    asyncio.run(visit())


def test_redis_that_is_full_still_answers(server: RedisProcess, caplog: pytest.LogCaptureFixture) -> None:
    counted = Counted()

    async def visit() -> None:
        cache = shared(server, counted)
        await cache.put("a", b"1")
        redis.Redis(port=server.port).config_set("maxmemory", "1")
        for _ in range(3):
            await cache.put("b", bytes(1000))
        assert await cache.get("a") == b"1"
        redis.Redis(port=server.port).config_set("maxmemory", "0")
        await cache.put("b", b"2")
        assert await cache.get("b") == b"2"
        await cache.close()

    asyncio.run(visit())
    assert caplog.text.count("the shared cache refuses to put") == 1
    assert counted("redis", "put") == 3


async def until_back(cache: RedisCache) -> None:
    for _ in range(100):
        await cache.put("back", b"1")
        if await cache.get("back") == b"1":
            return
        await asyncio.sleep(0.1)
    pytest.fail("the shared cache did not come back")


def test_replicas_wait_for_who_began(server: RedisProcess) -> None:
    async def visit() -> None:
        caches, begun = [shared(server) for _ in range(3)], []

        async def replica(cache: RedisCache) -> bool:
            async with claimed(cache, "claim:a") as waited:
                if not waited:
                    begun.append(cache)
                    await asyncio.sleep(0.3)
                return waited

        assert sorted(await asyncio.gather(*map(replica, caches))) == [False, True, True]
        assert len(begun) == 1
        assert redis.Redis(port=server.port).keys("*") == []
        server.stop()
        assert await asyncio.gather(*map(replica, caches)) == [False] * 3

    asyncio.run(visit())


def test_nobody_waits_for_a_redis_that_refuses(server: RedisProcess) -> None:
    async def visit() -> None:
        redis.Redis(port=server.port).config_set("maxmemory", "1")
        began = time.monotonic()
        async with claimed(shared(server), "claim:a") as waited:
            assert not waited
        assert time.monotonic() - began < 2

    asyncio.run(visit())


def test_what_is_said_in_a_copied_voice_is_not_kept_on_disk(tmp_path: Path) -> None:
    async def visit() -> None:
        async with service(tmp_path, cache_dir=tmp_path / "kept") as (client, engine):
            digest = (await client.post("/v1/references", content=GOOD)).json()["reference"]
            await client.post("/v1/voices", data={"name": "Ann"}, files={"audio_sample": GOOD})
            for fields in ({}, {"reference": digest}, {"voice": "Ann", "text": "More"}):
                answer = await speak(client, **fields)
                assert ("x-talkie-copied" in answer.headers) == bool(fields)
                assert (await speak(client, **fields)).headers["x-talkie-cache"] == "hit"
            assert len(engine.spoken) == 3

    asyncio.run(visit())
    with closing(sqlite3.connect(tmp_path / "kept" / "tts.sqlite3")) as db:
        assert [key.split(":")[2] for (key,) in db.execute("SELECT key FROM kept")] == ["-"]


def test_ten_equal_requests_are_spoken_once(server: RedisProcess, tmp_path: Path) -> None:
    async def visit() -> None:
        async with (
            service(tmp_path, redis_url=server.url) as (one, engine),
            service(tmp_path / "other", redis_url=server.url) as (other, second),
        ):
            answers = await asyncio.gather(*(speak(client, text="All at once") for client in (one, other) * 5))
            assert [answer.status_code for answer in answers] == [200] * 10
            assert len({join_chunks(decode_speech(answer.content)).pcm for answer in answers}) == 1
            assert len(engine.spoken) + len(second.spoken) == 1

    asyncio.run(visit())


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


def test_prompts_stay_in_redis_no_longer_than_all_else(server: RedisProcess, tiny_qwen: TinyQwen) -> None:
    settings = TtsSettings.model_validate(
        {"MODEL_0_6B_BASE": tiny_qwen.base, "threads": 1, "redis_url": server.url, "cache_redis_ttl_s": 50}
    )
    with closing(MAKERS["qwen3"](settings)) as engine:
        request = SpeechRequest(text="Hi.", reference=DIGEST, generation=Generation(max_new_tokens=2))
        assert list(engine.synthesize(replace(engine.resolve(request), reference=REFERENCE)))
    held = redis.Redis(port=server.port)
    [key] = held.keys("tts:prompt:*")
    assert 0 < held.ttl(key) <= 50


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
