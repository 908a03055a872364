"""The avatar service over real HTTP: clips added, prepared and refused, with real face finding."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from anyio import to_thread

from services.avatar.engines.musetalk.generation import Generator
from services.contract.video import AvatarInfo, Preparation
from tests.checkpoints.musetalk import build_musetalk
from tests.footage import FACELESS, film, sound_only, steady, swaying, turned, uneven
from tests.service.test_avatar_library import service, speaks
from tests.service.test_avatar_library import with_service as with_card_service

Visit = Callable[[httpx.AsyncClient], Awaitable[None]]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_musetalk(tmp_path_factory.mktemp("musetalk"))


def with_musetalk(folder: Path, weights: Path, visit: Visit, **fields: Any) -> None:
    async def run() -> None:
        given = {
            "engine": "musetalk",
            "musetalk_dir": weights,
            "pack_dir": folder / "packs",
            "musetalk_batch": 4,
        } | fields
        async with service(folder / "avatars", **given) as client:
            for _ in range(300):
                if (await client.get("/health/ready")).status_code == 200:
                    break
                await asyncio.sleep(0.1)
            await visit(client)

    asyncio.run(run())


def events_of(answer: httpx.Response) -> list[Preparation]:
    lines = [line for line in answer.text.splitlines() if line]
    return [Preparation.model_validate(json.loads(line.removeprefix("data: "))) for line in lines]


def folders(place: Path) -> list[str]:
    return [path.name for path in place.iterdir() if path.is_dir()]


async def add(client: httpx.AsyncClient, name: str, clip: Path) -> httpx.Response:
    content = await to_thread.run_sync(clip.read_bytes)
    return await client.post(f"/v1/avatars?name={name}&keep=true", content=content)


def test_a_clip_becomes_an_avatar_that_speaks_and_goes(tmp_path: Path) -> None:
    clip = film(tmp_path / "clip.mp4", steady(1.0))

    async def visit(client: httpx.AsyncClient) -> None:
        answer = await add(client, "anna", clip)
        assert answer.status_code == 201, answer.text
        info = AvatarInfo.model_validate(answer.json())
        assert (info.name, info.width, info.height, info.motion_s) == ("anna", 320, 320, 1.0)
        assert await speaks(client, "anna")
        assert (await client.get("/v1/avatars/anna/portrait")).headers["content-type"] == "image/jpeg"
        assert (await client.delete("/v1/avatars/anna")).status_code == 204

    folder = tmp_path / "avatars"
    with_card_service(folder, visit)
    assert list(folder.iterdir()) == []


def test_a_clip_laid_into_the_folder_speaks(tmp_path: Path) -> None:
    folder = tmp_path / "avatars"
    folder.mkdir()
    film(folder / "anna.mp4", uneven(1.0))

    async def visit(client: httpx.AsyncClient) -> None:
        [info] = (await client.get("/v1/avatars")).json()
        assert info["name"] == "anna.mp4"
        assert info["motion_s"] == pytest.approx(1.0, abs=0.15)
        assert await speaks(client, "anna.mp4")

    with_card_service(folder, visit)


@pytest.mark.parametrize("kind", ["turned", "uneven", "large"])
def test_clips_as_phones_make_them_are_taken(tmp_path: Path, kind: str) -> None:
    plain = film(tmp_path / "plain.mp4", steady(0.4), lambda at_s: np.rot90(swaying(at_s), 3))
    clips = {
        "turned": lambda: turned(tmp_path / "turned.mp4", plain, 90),
        "uneven": lambda: film(tmp_path / "uneven.mp4", uneven(0.6)),
        "large": lambda: film(tmp_path / "large.mp4", steady(0.12), scale=8.0),
    }

    async def visit(client: httpx.AsyncClient) -> None:
        answer = await add(client, "anna", clips[kind]())
        assert answer.status_code == 201, answer.text
        assert await speaks(client, "anna")

    with_card_service(tmp_path / "avatars", visit)


def test_clips_that_cannot_be_used_are_refused_and_leave_nothing(tmp_path: Path) -> None:
    good = film(tmp_path / "good.mp4", steady(1.0)).read_bytes()
    bad = {
        "no face": (film(tmp_path / "a.mp4", steady(1.0), lambda _: FACELESS).read_bytes(), 422, "no face"),
        "leaves": (
            film(tmp_path / "b.mp4", steady(2.0), lambda at_s: FACELESS if at_s > 0.5 else swaying(at_s)).read_bytes(),
            422,
            "leaves",
        ),
        "one frame": (film(tmp_path / "c.mp4", [0.0]).read_bytes(), 422, "single picture"),
        "sound": (sound_only(tmp_path / "d.mp4").read_bytes(), 422, "only sound"),
        "cut short": (good[: len(good) // 2], 415, "cut short"),
        "too long": (film(tmp_path / "e.mp4", steady(4.0)).read_bytes(), 413, "longer than"),
    }
    folder = tmp_path / "avatars"
    folder.mkdir()

    async def visit(client: httpx.AsyncClient) -> None:
        for name, (content, status, word) in bad.items():
            answer = await client.post("/v1/avatars?name=anna&keep=true", content=content)
            assert answer.status_code == status, (name, answer.text)
            assert word in answer.json()["detail"]
        once = await client.post("/v1/avatars", content=bad["no face"][0])
        assert once.status_code == 422
        assert "kept" in once.json()["detail"]

    with_card_service(folder, visit, longest_clip_s=2.2)
    assert list(folder.iterdir()) == []


def test_preparing_tells_how_far_it_is(tmp_path: Path, weights: Path) -> None:
    clip = film(tmp_path / "clip.mp4", steady(1.2))

    async def visit(client: httpx.AsyncClient) -> None:
        assert (await add(client, "anna", clip)).status_code == 201
        events = events_of(await client.post("/v1/avatars/anna/prepare?width=256&height=256"))
        assert events[0].stage == "waiting"
        assert [event.stage for event in events[1:-1]] == ["frames"] * (len(events) - 2)
        assert len(events) > 3
        assert (events[-1].stage, events[-1].done, events[-1].total) == ("done", 30, 30)
        again = events_of(await client.post("/v1/avatars/anna/prepare?width=256&height=256"))
        assert [event.stage for event in again][-1] == "done"
        assert {event.stage for event in again} <= {"waiting", "done"}
        assert again[-1].elapsed_s < 0.5 * events[-1].elapsed_s
        assert await speaks(client, "anna")
        unknown = await client.post("/v1/avatars/nobody/prepare")
        assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
        large = await client.post("/v1/avatars/anna/prepare?width=3840&height=3840")
        assert large.status_code == 422
        packs = tmp_path / "packs"
        assert folders(packs)
        assert (await client.delete("/v1/avatars/anna")).status_code == 204
        assert folders(packs) == []

    with_musetalk(tmp_path, weights, visit)


def test_who_waits_for_another_preparation_is_told_at_once(tmp_path: Path, weights: Path) -> None:
    clip = film(tmp_path / "clip.mp4", steady(4.0))

    async def visit(client: httpx.AsyncClient) -> None:
        assert (await add(client, "anna", clip)).status_code == 201
        first = asyncio.create_task(client.post("/v1/avatars/anna/prepare?width=256&height=256"))
        await asyncio.sleep(0.3)
        async with client.stream("POST", "/v1/avatars/anna/prepare?width=320&height=320") as answer:
            line = await asyncio.wait_for(anext(answer.aiter_lines()), 2)
            assert Preparation.model_validate_json(line.removeprefix("data:")).stage == "waiting"
            assert not first.done()
        assert events_of(await first)[-1].stage == "done"

    with_musetalk(tmp_path, weights, visit)


def test_a_watcher_who_leaves_ends_the_work(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = film(tmp_path / "clip.mp4", steady(8.0))
    encoded: list[int] = []
    encode = Generator.latents
    monkeypatch.setattr(Generator, "latents", lambda self, crops: encoded.append(len(crops)) or encode(self, crops))

    async def visit(client: httpx.AsyncClient) -> None:
        assert (await add(client, "anna", clip)).status_code == 201
        encoded.clear()
        async with client.stream("POST", "/v1/avatars/anna/prepare?width=256&height=256") as answer:
            async for _ in answer.aiter_lines():
                break
        await asyncio.sleep(1.0)
        seen = sum(encoded)
        await asyncio.sleep(1.0)
        assert sum(encoded) == seen < 200

    with_musetalk(tmp_path, weights, visit)
