"""An edited script renders what was edited, and little else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from services.avatar.app import create_app as create_avatar
from services.avatar.settings import AvatarSettings
from services.chassis.server import serve
from services.contract.jobs import VideoJob
from services.contract.speech import AudioChunk
from services.gateway.clients import AvatarClient, TtsClient
from services.gateway.jobs.memory import MemoryQueue, MemoryStore
from services.gateway.jobs.record import JobRecord
from services.gateway.jobs.runner import JobRunner, Limits
from services.gateway.jobs.shelf import FilmShelf
from services.gateway.keeping import Keeping
from services.gateway.pipeline import FilmMaker, Pace, SegmentDone, fragments_of
from services.gateway.script import Scene, Script
from services.gateway.settings import GatewaySettings
from services.tts.app import create_app as create_tts
from services.tts.engine import Utterance
from services.tts.settings import TtsSettings
from tests.service.card import CardEngine
from tests.service.test_avatar import folder, frames_of
from tests.unit.test_pipeline import RATE_HZ, SteadyEngine

__all__ = ["folder"]

STORY = [
    "Once there was a tower by the sea.",
    "Nobody knew who had built it.",
    "Every evening a lamp was lit at its top.",
    "The fishermen steered by it.",
    "One night it stayed dark, and all the village came to look.",
    "The door was open.",
    "Up they went, step by step, and found an old man asleep.",
    "So they let him sleep, and lit the lamp themselves.",
]


class PacedEngine(SteadyEngine):
    """Takes longer for longer texts."""

    def synthesize(self, utterance: Utterance) -> Generator[AudioChunk, None, None]:
        self.spoken.append(utterance.text)
        wave = 8000 * np.sin(np.arange(len(utterance.text) * RATE_HZ // 16) * 2 * np.pi * 220 / RATE_HZ)
        yield AudioChunk(wave.astype("<i2").tobytes(), RATE_HZ)


@dataclass
class Studio:
    """Makes films, and tells what they cost."""

    films: FilmMaker
    avatar: AvatarClient
    cards: CardEngine

    async def film(self, *scenes: list[str], **fields: str) -> tuple[bytes, int]:
        """Return a film of texts, and how many frames were rendered for it."""
        drawn = self.cards.drawn
        script = _script(scenes, **fields)
        film = b"".join([data async for data in fragments_of(self.films.film(script))])
        return film, self.cards.drawn - drawn

    async def lengths(self, *scenes: list[str]) -> list[int]:
        """Return how many frames each sentence takes in a film of them all."""
        script = _script(scenes)
        return [event.frames async for event in self.films.film(script) if isinstance(event, SegmentDone)]


def _script(scenes: Sequence[list[str]], **fields: str) -> Script:
    shown = tuple(Scene(" ".join(scene), "ada", **fields) for scene in scenes)
    return Script(shown, language="English", width=256, height=256)


@asynccontextmanager
async def studio(avatars: Path) -> AsyncIterator[Studio]:
    tts_settings, avatar_settings = TtsSettings(port=0), AvatarSettings(port=0, avatar_dir=avatars)
    cards, keeping = CardEngine(), Keeping(GatewaySettings(), CollectorRegistry())
    async with (
        serve(create_tts(tts_settings, PacedEngine()), tts_settings) as tts_url,
        serve(create_avatar(avatar_settings, cards), avatar_settings) as avatar_url,
    ):
        tts, avatar = TtsClient(tts_url), AvatarClient(avatar_url)
        try:
            yield Studio(FilmMaker(tts, avatar, Pace(), keeping.cache), avatar, cards)
        finally:
            await asyncio.gather(tts.aclose(), avatar.aclose(), keeping.close())


def with_studio(avatars: Path, visit: Callable[[Studio], Awaitable[None]]) -> None:
    async def run() -> None:
        async with studio(avatars) as made:
            await visit(made)

    asyncio.run(run())


def moves_smoothly(film: bytes) -> bool:
    """Whether times go up frame by frame, and no two frames show moments of the motion that lie far apart."""
    shown = frames_of(film)
    evenly = all(after[0] - before[0] == shown[1][0] - shown[0][0] for before, after in pairwise(shown))
    return evenly and all(abs(after[1] - before[1]) <= 2 for before, after in pairwise(shown))


def edited(number: int, text: str) -> list[str]:
    return [*STORY[:number], text, *STORY[number + 1 :]]


def test_the_same_script_renders_nothing(folder: Path) -> None:
    async def visit(studio: Studio) -> None:
        first, cost = await studio.film(STORY)
        assert cost == len(frames_of(first))
        again, cost = await studio.film(STORY)
        assert (again, cost) == (first, 0)

    with_studio(folder, visit)


@pytest.mark.parametrize(
    "text",
    [
        "The fishermen steered by that.",  # as long
        "Fishermen steered by it.",
        "The fishermen of the whole coast steered by it, for years.",
    ],
)
def test_an_edited_sentence_is_the_only_one_rendered(folder: Path, text: str) -> None:
    async def visit(studio: Studio) -> None:
        await studio.film(STORY)
        lengths = await studio.lengths(edited(3, text))
        film, cost = await studio.film(edited(3, text))
        assert cost == 0 and moves_smoothly(film)
        assert studio.cards.drawn == sum(await studio.lengths(STORY)) + lengths[3]
        assert len(frames_of(film)) == sum(lengths)

    with_studio(folder, visit)


def test_beside_a_very_short_sentence_the_next_one_catches_up(folder: Path) -> None:
    async def visit(studio: Studio) -> None:
        await studio.film(STORY)
        film, cost = await studio.film(edited(3, "All."))
        lengths = await studio.lengths(edited(3, "All."))
        assert cost == sum(lengths[3:5])
        assert moves_smoothly(film)

    with_studio(folder, visit)


def test_a_new_sentence_is_the_only_one_rendered(folder: Path) -> None:
    async def visit(studio: Studio) -> None:
        await studio.film(STORY)
        longer = [*STORY[:4], "They trusted it more than the stars.", *STORY[4:]]
        film, cost = await studio.film(longer)
        assert cost == (await studio.lengths(longer))[4]
        assert moves_smoothly(film)

    with_studio(folder, visit)


def test_where_a_sentence_is_gone_the_next_ones_catch_up(folder: Path) -> None:
    async def visit(studio: Studio) -> None:
        await studio.film(STORY)
        shorter = [*STORY[:3], *STORY[4:]]
        film, cost = await studio.film(shorter)
        lengths = await studio.lengths(shorter)
        assert cost == sum(lengths[2:4]), "the one before hurries on, and so does the next"
        assert moves_smoothly(film)

    with_studio(folder, visit)


def test_another_last_sentence_changes_the_one_before_it_at_most(folder: Path) -> None:
    async def visit(studio: Studio) -> None:
        await studio.film(STORY)
        film, cost = await studio.film([*STORY, "And it burns to this day."])
        lengths = await studio.lengths([*STORY, "And it burns to this day."])
        assert cost == sum(lengths[-2:]), "the last but one no longer ends the film"
        assert moves_smoothly(film)

    with_studio(folder, visit)


def test_a_scene_knows_nothing_of_the_scenes_before(folder: Path) -> None:
    async def visit(studio: Studio) -> None:
        await studio.film(STORY[:4], STORY[4:])
        first = ["Something else altogether.", "It goes on and on, and takes a good deal longer than it did before."]
        film, cost = await studio.film([*STORY[:4], *first], STORY[4:])
        lengths = await studio.lengths([*STORY[:4], *first], STORY[4:])
        assert cost == sum(lengths[3:6])
        assert len(frames_of(film)) == sum(lengths)

    with_studio(folder, visit)


def test_equal_sentences_of_one_script_keep_apart(folder: Path) -> None:
    async def visit(studio: Studio) -> None:
        chorus = [STORY[0], "Row, row.", STORY[1], "Row, row.", STORY[2], "Row, row."]
        first, _ = await studio.film(chorus)
        assert await studio.film(chorus) == (first, 0)
        assert [number for _, number in frames_of(first)] == [*range(len(frames_of(first)))]

    with_studio(folder, visit)


def test_two_workers_at_the_same_job_leave_one_film(folder: Path, tmp_path: Path) -> None:
    async def visit(studio: Studio) -> None:
        queue = MemoryQueue()
        store, shelf = MemoryStore(queue), FilmShelf(tmp_path / "results")
        limits = Limits(tries=3, patience_s=60, kept_s=60, spoken_at_once=2)
        runner = JobRunner(studio.films, studio.avatar, store, queue, shelf, limits)
        job = VideoJob(
            id="a", model="card", status="queued", progress=0, created_at=1, size="256x256", seconds="0", prompt=""
        )
        await store.add(JobRecord(job=job, owner="ann", script=_script([STORY])), "film:a")
        await asyncio.gather(*(runner.run("a", asyncio.Event()) for _ in range(2)))
        record = await store.get("a")
        assert record is not None and record.job.status == "completed"
        told = [event async for event in store.events("a", "") if event is not None]
        assert [event.type for event in told].count("video.completed") == 1
        assert len(frames_of(shelf.path("a").read_bytes())) == sum(await studio.lengths(STORY))

    with_studio(folder, visit)
