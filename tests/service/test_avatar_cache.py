"""What the avatar service has rendered before it does not render again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
import redis

from services.avatar.artwork import before, read_avatar
from services.avatar.lipsync import LipSync
from services.contract.errors import InvalidRequest
from tests.redis import running_redis
from tests.service.card import CardEngine
from tests.service.test_avatar import RAW, film, folder, frames_of, service, tone, until, with_service

__all__ = ["folder"]

SPEECH = tone(48_000)
AVATARS = Path("avatars")


def test_an_equal_segment_is_rendered_once(folder: Path) -> None:
    async def visit(client: httpx.AsyncClient, _: LipSync) -> None:
        first = await client.post("/v1/lipsync?avatar=ada", content=SPEECH, headers={"Content-Type": RAW})
        again = await client.post("/v1/lipsync?avatar=ada", content=SPEECH, headers={"Content-Type": RAW})
        assert [answer.headers["x-talkie-cache"] for answer in (first, again)] == ["miss", "hit"]
        assert first.content == again.content

    assert with_service(folder, visit).drawn == 25


@pytest.mark.parametrize(
    "other",
    [
        {"first_frame": 7},  # at its own pace, another place is another pose
        {"first_frame": 7, "motion_frame": 1},
        {"motion_end": 20},
        {"width": 128},
        {"frame_skip": 2},
        {"use_cache": False},
    ],
)
def test_what_looks_different_is_rendered_anew(folder: Path, other: dict[str, Any]) -> None:
    async def visit(client: httpx.AsyncClient, _: LipSync) -> None:
        await film(client, SPEECH)
        await film(client, SPEECH, **other)

    assert with_service(folder, visit).drawn == 50


def test_other_words_or_another_picture_are_rendered_anew(folder: Path) -> None:
    async def visit(client: httpx.AsyncClient, _: LipSync) -> None:
        await film(client, SPEECH)
        await film(client, tone(48_000, silence_ms=80))
        cv2.imwrite(str(folder / "ada" / "portrait.png"), np.full((100, 100, 3), 121, np.uint8))
        await film(client, SPEECH)

    assert with_service(folder, visit).drawn == 75


def test_a_kept_segment_is_shown_in_any_place(folder: Path) -> None:
    async def visit(client: httpx.AsyncClient, lip_sync: LipSync) -> None:
        kept = await film(client, SPEECH, first_frame=100, motion_frame=50)
        moved = await film(client, SPEECH, first_frame=313, motion_frame=50)
        made = await film(client, SPEECH, first_frame=313, motion_frame=50, use_cache=False)
        assert moved == made != kept
        assert [number for _, number in frames_of(moved)] == [*range(50, 75)]

    assert with_service(folder, visit).drawn == 50


def test_at_a_rate_of_uneven_frames_only_every_so_many_places_are_alike(folder: Path) -> None:
    async def visit(client: httpx.AsyncClient, _: LipSync) -> None:
        for first_frame in (0, 1, 5):
            await film(client, tone(48_048), fps="30000/1001", first_frame=first_frame, motion_frame=9)

    assert with_service(folder, visit).drawn == 2 * 30


def test_ten_who_ask_at_once_get_the_same_rendering(folder: Path) -> None:
    async def visit(client: httpx.AsyncClient, _: LipSync) -> None:
        films = await asyncio.gather(*(film(client, SPEECH) for _ in range(10)))
        assert len(set(films)) == 1

    assert with_service(folder, visit).drawn == 25


def test_a_full_service_still_shows_what_it_has(folder: Path) -> None:
    engine = CardEngine(waits_at=30)

    async def visit(client: httpx.AsyncClient, lip_sync: LipSync) -> None:
        await film(client, SPEECH)
        busy = asyncio.create_task(film(client, tone(96_000)))
        await until(lambda: lip_sync.lane.busy == 1 and engine.drawn > 50)
        other = await client.post("/v1/lipsync?avatar=ada", content=tone(9_600), headers={"Content-Type": RAW})
        assert other.status_code == 503
        await film(client, SPEECH)
        engine.released.set()
        await busy

    with_service(folder, visit, engine, lanes=1, max_waiting=0)


def test_it_outlives_the_process_and_is_shared(folder: Path, tmp_path: Path) -> None:
    async def visit(client: httpx.AsyncClient, _: LipSync) -> None:
        await film(client, SPEECH)

    assert with_service(folder, visit).drawn == 25
    assert with_service(folder, visit).drawn == 0, "it was on disk"
    with running_redis(tmp_path) as server:
        elsewhere = {"redis_url": server.url, "cache_disk_mb": 0}
        assert with_service(folder, visit, **elsewhere).drawn == 25
        assert with_service(folder, visit, **elsewhere).drawn == 0, "it was in Redis"
        assert len(redis.Redis(port=server.port).keys("video:segment:*")) == 1


def test_removing_an_avatar_removes_its_films(folder: Path) -> None:
    described = (folder / "ada" / "avatar.json").read_text()

    async def visit(client: httpx.AsyncClient, _: LipSync) -> None:
        (folder / "ada" / "avatar.json").write_text(described.replace("{", '{"added": true, ', 1))
        await film(client, SPEECH)
        portrait = (folder / "ada" / "portrait.png").read_bytes()
        assert (await client.delete("/v1/avatars/ada")).status_code == 204
        (folder / "ada").mkdir()
        (folder / "ada" / "portrait.png").write_bytes(portrait)
        (folder / "ada" / "avatar.json").write_text(described.replace("{", '{"added": true, ', 1))
        await film(client, SPEECH)

    assert with_service(folder, visit).drawn == 50


def test_an_upload_is_known_to_the_other_replica(tmp_path: Path, folder: Path) -> None:
    picture = (AVATARS / "kenji" / "portrait.png").read_bytes()

    async def run() -> None:
        with running_redis(tmp_path) as server:
            one, other = CardEngine(), CardEngine()
            async with (
                service(folder, one, redis_url=server.url) as (first, _),
                service(folder, other, redis_url=server.url) as (second, _),
            ):
                name = (await first.post("/v1/avatars", content=picture)).json()["name"]
                assert await film(first, SPEECH, avatar=name) == await film(second, SPEECH, avatar=name)
                assert (one.drawn, other.drawn) == (25, 0)
                lost = await second.post(
                    "/v1/lipsync?avatar=upload-12345", content=SPEECH, headers={"Content-Type": RAW}
                )
                assert lost.status_code == 404

    asyncio.run(run())


def test_another_background_shows_around_the_same_person() -> None:
    maya = read_avatar(AVATARS / "maya").source
    green = before(maya, "#00c040")
    assert before(maya, "") is maya
    assert green.digest != maya.digest and not green.lasting
    assert green.matte is not None
    outside, inside = green.matte == 0, green.matte == 255
    assert (green.portrait[outside] == (0x40, 0xC0, 0)).all()
    assert (green.portrait[inside] == maya.portrait[inside]).all()
    assert green.background is not None and (green.background == (0x40, 0xC0, 0)).all()
    with pytest.raises(InvalidRequest, match="not cut out"):
        before(replace(maya, matte=None, background=None), "#ffffff")
