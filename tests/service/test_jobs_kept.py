"""Where jobs are kept and wait: the same in memory and in Redis."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from services.contract.errors import Unavailable
from services.contract.jobs import VideoJob
from services.gateway.jobs.memory import MemoryQueue, MemoryStore
from services.gateway.jobs.queue import JobQueue, Lease
from services.gateway.jobs.record import Claim, JobEvent, JobRecord
from services.gateway.jobs.redis_queue import RedisQueue
from services.gateway.jobs.redis_store import RedisStore
from services.gateway.jobs.store import JobStore, Room
from services.gateway.script import Scene, Script
from tests.redis import RedisProcess, running_redis

LEASE_S = 0.4
Stores = Callable[[], JobStore]
Queues = Callable[[], JobQueue]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisProcess]:
    with running_redis(tmp_path, durable=True) as process:
        yield process


@pytest.fixture(params=["memory", "redis"])
def stores(request: pytest.FixtureRequest) -> Stores:
    """Makes stores that share what they keep."""
    if request.param == "redis":
        url = request.getfixturevalue("server").url
        return lambda: RedisStore(url)
    only = MemoryStore(MemoryQueue())
    return lambda: only


@pytest.fixture(params=["memory", "redis"])
def queues(request: pytest.FixtureRequest) -> Queues:
    """Makes queues that share their tasks, one for each worker."""
    if request.param == "redis":
        url = request.getfixturevalue("server").url
        return lambda: RedisQueue(url, LEASE_S)
    only = MemoryQueue(LEASE_S)
    return lambda: only


def run(visit: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(visit())  # type: ignore[arg-type]


def record(job_id: str, owner: str = "ann", **fields: object) -> JobRecord:
    job = VideoJob(
        id=job_id, model="card", status="queued", progress=0, created_at=1, size="2x2", seconds="0", prompt="Hi."
    )
    script = Script((Scene("Hi.", "ada"),), language="English")
    return JobRecord(job=job.model_copy(update=fields), owner=owner, script=script)


def progress(percent: int) -> Callable[[JobRecord], JobRecord | None]:
    return lambda one: one.updated(progress=percent)


def test_what_is_kept_comes_back_as_it_was(stores: Stores) -> None:
    async def visit() -> None:
        store, other = stores(), stores()
        await store.add(record("a"), "task")
        assert await other.get("a") == record("a")
        assert await other.get("b") is None
        changed = await other.change("a", progress(7), "video.progress")
        assert changed is not None and changed.job.progress == 7
        assert await store.get("a") == changed
        assert await store.change("a", lambda one: None) is None
        assert await store.change("b", progress(7)) is None
        assert await store.remove("a") and not await store.remove("a")
        assert await store.get("a") is None

    run(visit)


def test_changes_at_once_are_all_made(stores: Stores) -> None:
    async def visit() -> None:
        await stores().add(record("a"), "task")

        def one_more(one: JobRecord) -> JobRecord:
            return one.updated(tries=one.job.tries + 1)

        await asyncio.gather(*(stores().change("a", one_more) for _ in range(20)))
        kept = await stores().get("a")
        assert kept is not None and kept.job.tries == 20

    run(visit)


def test_only_the_first_of_two_ends_a_job(stores: Stores) -> None:
    async def visit() -> None:
        await stores().add(record("a"), "task")

        def ended(one: JobRecord) -> JobRecord | None:
            return None if one.over else one.updated(status="completed")

        ends = await asyncio.gather(*(stores().change("a", ended, "video.completed") for _ in range(5)))
        assert sum(end is not None for end in ends) == 1
        assert [event.type for event in await told(stores(), "a")] == ["video.queued", "video.completed"]

    run(visit)


async def told(store: JobStore, job_id: str, after: str = "") -> list[JobEvent]:
    return [event async for event in store.events(job_id, after) if event is not None]


def test_events_are_told_as_they_come_and_again_from_any_of_them(stores: Stores) -> None:
    async def visit() -> None:
        store = stores()
        await store.add(record("a"), "task")
        following = asyncio.create_task(told(stores(), "a"))
        for percent in (10, 20, 30):
            await store.change("a", progress(percent), "video.progress")
            await asyncio.sleep(0.01)
        await store.change("a", lambda one: one.updated(status="failed"), "video.failed")
        events = await asyncio.wait_for(following, 5)
        assert [event.job.progress for event in events] == [0, 10, 20, 30, 30]
        assert [event.type for event in events[-2:]] == ["video.progress", "video.failed"]
        assert len({event.id for event in events}) == 5
        for number, event in enumerate(events):
            assert await asyncio.wait_for(told(store, "a", event.id), 5) == events[number + 1 :]
        assert await asyncio.wait_for(told(store, "nobody"), 5) == []

    run(visit)


def test_the_last_event_is_told_to_who_is_slow(stores: Stores) -> None:
    async def visit() -> None:
        store = stores()
        await store.add(record("a"), "task")
        events = store.events("a", "")
        async with aclosing(events):
            first = await anext(events)
            await store.change("a", lambda one: one.updated(status="completed"), "video.completed")
            last = await asyncio.wait_for(anext(events), 5)
        assert first is not None and first.type == "video.queued"
        assert last is not None and last.type == "video.completed"

    run(visit)


def test_who_follows_a_job_that_goes_is_let_go(stores: Stores) -> None:
    async def visit() -> None:
        await stores().add(record("a"), "task")
        following = asyncio.create_task(told(stores(), "a"))
        await asyncio.sleep(0.1)
        await stores().remove("a")
        assert len(await asyncio.wait_for(following, 5)) == 1

    run(visit)


def test_nothing_happening_is_told_too(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("memory", "redis_store"):
        monkeypatch.setattr(f"services.gateway.jobs.{kind}.HEARTBEAT_S", 0.1)
    monkeypatch.setattr("services.gateway.jobs.redis_store._BLOCK_MS", 50)

    async def visit() -> None:
        await stores().add(record("a"), "task")
        events: AsyncGenerator[JobEvent | None, None] = stores().events("a", "")
        async with aclosing(events):
            assert await anext(events) is not None
            assert await anext(events) is None

    run(visit)


def test_jobs_are_listed_by_owner_and_page(stores: Stores) -> None:
    async def visit() -> None:
        store = stores()
        for name in "abcde":
            await store.add(record(name), "task")
            await asyncio.sleep(0.002)
        await store.add(record("x", owner="bob"), "task")
        page = await store.listed("ann", "", 2, newest_first=True)
        assert ([one.id for one in page.records], page.has_more) == (["e", "d"], True)
        page = await store.listed("ann", "d", 3, newest_first=True)
        assert ([one.id for one in page.records], page.has_more) == (["c", "b", "a"], False)
        page = await store.listed("ann", "b", 9, newest_first=False)
        assert [one.id for one in page.records] == ["c", "d", "e"]
        assert (await store.listed("carl", "", 9, newest_first=True)).records == []

    run(visit)


def test_there_is_room_for_so_many_that_are_not_over(stores: Stores) -> None:
    async def visit() -> None:
        store, room = stores(), Room(of_all=4, of_each=2)
        came = [stores().add(record(f"a{number}"), "task", room) for number in range(6)]
        assert Counter(await asyncio.gather(*came)) == {"added": 2, "owner_full": 4}
        came = [stores().add(record(f"b{number}", owner=f"b{number}"), "task", room) for number in range(6)]
        assert Counter(await asyncio.gather(*came)) == {"added": 2, "all_full": 4}
        page = await store.listed("ann", "", 9, newest_first=True)
        await store.change(page.records[0].id, lambda one: one.updated(status="completed"))
        assert await store.add(record("a9"), "task", room) == "added"
        await store.remove(page.records[1].id)
        assert await store.add(record("a10"), "task", room) == "added"

    run(visit)


def test_films_expire(stores: Stores) -> None:
    async def visit() -> None:
        store = stores()
        for name, at in (("a", 100), ("b", 200), ("c", None)):
            await store.add(record(name), "task")
            await store.change(name, lambda one, at=at: one.updated(status="completed", expires_at=at))  # type: ignore[misc]
        assert list(await store.expired(99)) == []
        assert list(await store.expired(150)) == ["a"]
        await store.remove("a")
        assert list(await store.expired(1e9)) == ["b"]

    run(visit)


def test_a_key_stands_for_one_request(stores: Stores) -> None:
    async def visit() -> None:
        store, mine, yours = stores(), Claim(digest="1", job_id="a"), Claim(digest="1", job_id="b")
        assert await store.claim("ann", "k", mine) is None
        assert await stores().claim("ann", "k", yours) == mine
        assert await store.claim("bob", "k", yours) is None
        await store.unclaim("ann", "k")
        assert await store.claim("ann", "k", yours) is None

    run(visit)


def test_waiting_times_follow_from_who_works(stores: Stores) -> None:
    async def visit() -> None:
        store = stores()
        assert (await store.throughput()).slots == 0
        await store.report("one", 2)
        await store.report("two", 1)
        await store.report("one", 2)
        for _ in range(60):
            await store.note_duration(30.0)
        through = await stores().throughput()
        assert (through.slots, round(through.usual_s)) == (3, 30)
        assert through.wait_s(0) == 10
        assert through.wait_s(8) == 90

    run(visit)


def test_tasks_come_in_order_and_interactive_ones_first(queues: Queues) -> None:
    async def visit() -> None:
        one, other = queues(), queues()
        assert await one.take() is None
        for task in ("b1", "b2"):
            await one.put(task, "batch")
        for task in ("i1", "i2"):
            await other.put(task, "interactive")
        assert await other.waiting() == 4
        taken = [await queue.take() for queue in (one, other, one, other)]
        assert [lease and lease.task for lease in taken] == ["i1", "i2", "b1", "b2"]
        assert (await one.take(), await one.waiting()) == (None, 0)
        for lease, queue in zip(taken, (one, other, one, other), strict=True):
            assert lease is not None
            await queue.finish(lease)
        await asyncio.sleep(2 * LEASE_S)
        assert await one.take() is None

    run(visit)


async def renewed(queue: JobQueue, lease: Lease, times: int) -> bool:
    held = True
    for _ in range(times):
        await asyncio.sleep(LEASE_S / 4)
        held = held and await queue.renew(lease)
    return held


def test_a_task_is_held_as_long_as_it_is_renewed(queues: Queues) -> None:
    async def visit() -> None:
        one, other = queues(), queues()
        await one.put("a", "batch")
        lease = await one.take()
        assert lease is not None
        assert await renewed(one, lease, 10)
        assert await other.take() is None

    run(visit)


def test_a_task_whose_worker_is_gone_is_taken_by_another(queues: Queues) -> None:
    async def visit() -> None:
        one, other = queues(), queues()
        for task in ("a", "b"):
            await one.put(task, "interactive")
        lost = await one.take()
        assert lost is not None
        await asyncio.sleep(1.5 * LEASE_S)
        taken = await other.take()
        assert taken is not None and taken.task == "a", "what was begun comes before what is new"
        assert not await one.renew(lost)
        await one.finish(lost)  # of no effect: it is the other one's now
        await one.give_back(lost)
        assert await other.renew(taken)
        await other.finish(taken)

    run(visit)


def test_what_is_given_back_is_taken_again_when_its_time_has_come(queues: Queues) -> None:
    async def visit() -> None:
        queue = queues()
        await queue.put("a", "batch")
        lease = await queue.take()
        assert lease is not None
        await queue.give_back(lease, 0.3)
        assert await queue.take() is None
        assert await queue.waiting() == 1
        await asyncio.sleep(0.35)
        again = await queue.take()
        assert again is not None and (again.task, again.line) == ("a", "batch")
        await queue.give_back(again)
        last = await queue.take()
        assert last is not None
        await queue.finish(last)
        assert await queue.waiting() == 0

    run(visit)


def test_an_abandoned_task_is_found_behind_many_that_are_not(queues: Queues) -> None:
    async def visit() -> None:
        living, dead, other = queues(), queues(), queues()
        for number in range(13):
            await living.put(f"t{number}", "batch")
        held = [await living.take() for _ in range(12)]
        assert await dead.take() is not None
        for _ in range(8):
            await asyncio.sleep(LEASE_S / 4)
            assert all([lease is not None and await living.renew(lease) for lease in held])
        found = await other.take()
        assert found is not None and found.task == "t12"

    run(visit)


def test_a_task_nobody_survives_is_dropped(queues: Queues, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("memory", "redis_queue"):
        monkeypatch.setattr(f"services.gateway.jobs.{kind}.MOST_DELIVERIES", 2)

    async def visit() -> None:
        await queues().put("poison", "interactive")
        await queues().put("good", "interactive")
        for _ in range(2):
            lease = await queues().take()
            assert lease is not None and lease.task == "poison"
            await asyncio.sleep(1.2 * LEASE_S)
        lease = await queues().take()
        assert lease is not None and lease.task == "good"

    run(visit)


def test_webhooks_wait_in_a_line_of_their_own(queues: Queues) -> None:
    async def visit() -> None:
        queue = queues()
        await queue.put("w", "webhooks")
        await queue.put("w later", "webhooks", 0.2)
        assert (await queue.waiting(), await queue.take()) == (0, None)
        lease = await queue.take(("webhooks",))
        assert lease is not None and lease.task == "w"
        await asyncio.sleep(0.25)
        lease = await queue.take(("webhooks",))
        assert lease is not None and lease.task == "w later"

    run(visit)


@pytest.mark.parametrize("kind", ["memory", "redis"])
def test_a_new_job_stands_in_line(kind: str, request: pytest.FixtureRequest) -> None:
    async def visit() -> None:
        store: JobStore
        queue: JobQueue
        if kind == "redis":
            url = request.getfixturevalue("server").url
            store, queue = RedisStore(url), RedisQueue(url)
        else:
            queue = MemoryQueue()
            store = MemoryStore(queue)
        await store.add(record("a", priority="batch"), "film:a")
        assert await queue.waiting() == 1
        lease = await queue.take()
        assert lease is not None and (lease.task, lease.line) == ("film:a", "batch")

    run(visit)


def test_a_settled_key_says_so(stores: Stores) -> None:
    async def visit() -> None:
        mine = Claim(digest="1", job_id="a")
        assert await stores().claim("ann", "k", mine) is None
        await stores().settle("ann", "k", mine)
        again = await stores().claim("ann", "k", Claim(digest="2", job_id="b"))
        assert again == mine.model_copy(update={"settled": True})

    run(visit)


def test_redis_that_comes_back_has_forgotten_nothing(server: RedisProcess) -> None:
    async def visit() -> None:
        store, queue = RedisStore(server.url), RedisQueue(server.url)
        await store.add(record("a"), "task")
        await queue.put("film:a:0", "batch")
        lease = await queue.take()
        assert lease is not None
        server.stop()
        changing = asyncio.create_task(store.change("a", progress(50), "video.progress"))
        await asyncio.sleep(0.5)
        server.start()
        assert await changing is not None
        assert await queue.renew(lease)
        assert [event.job.progress for event in await told_so_far(store)] == [0, 50]

    async def told_so_far(store: JobStore) -> list[JobEvent]:
        await store.change("a", lambda one: one.updated(status="failed"), "video.failed")
        return (await told(store, "a"))[:2]

    run(visit)


def test_redis_that_stays_away_is_told(server: RedisProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.gateway.jobs.redis_patience._PATIENCE_S", 0.3)

    async def visit() -> None:
        server.stop()
        with pytest.raises(Unavailable, match="does not answer"):
            await RedisStore(server.url).get("a")
        with pytest.raises(Unavailable, match="does not answer"):
            await RedisQueue(server.url).take()

    run(visit)
