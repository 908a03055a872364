"""The walk from text to film, over the real services and an engine that always speaks the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

import numpy as np
import pytest

from services.avatar.app import create_app as create_avatar
from services.avatar.settings import AvatarSettings
from services.chassis.lane import EngineLane
from services.chassis.server import serve
from services.contract.errors import EngineFailed, ServiceError
from services.contract.speech import AudioChunk, SpeechRequest, Voice
from services.gateway.clients import AvatarClient, TtsClient
from services.gateway.laying import SentenceSpoken
from services.gateway.narration import Narration, Piece, narrate
from services.gateway.pipeline import FilmEvent, FilmMaker, Fragment, Pace
from services.gateway.script import Scene, Script
from services.tts.app import create_app as create_tts
from services.tts.engine import Utterance
from services.tts.settings import TtsSettings

RATE_HZ = 48_000
TEXT = "One is here. Two is here. Three is here. Four is here. Five is here. Six is here."
BROKEN = "One is here. Two is here. Three breaks here. Four is here."


class SteadyEngine:
    """Speaks every text as one second of the same tone, and breaks at texts with "breaks" in them."""

    name, revision, sample_rate_hz = "steady", "1", RATE_HZ
    cloning = phoneme_marks = ipa = False
    default_voice = "tone"

    def __init__(self) -> None:
        self.spoken: list[str] = []

    def voices(self) -> list[Voice]:
        return [Voice(name="tone", language="multi", gender="neutral")]

    def languages(self) -> list[str]:
        return ["en"]

    def resolve(self, request: SpeechRequest) -> Utterance:
        return Utterance(request.text, "tone", "en")

    def synthesize(self, utterance: Utterance) -> Generator[AudioChunk, None, None]:
        self.spoken.append(utterance.text)
        if "breaks" in utterance.text:
            raise EngineFailed("The tone broke.")
        wave = 8000 * np.sin(np.arange(RATE_HZ) * 2 * np.pi * 220 / RATE_HZ)
        yield AudioChunk(wave.astype("<i2").tobytes(), RATE_HZ)

    def warm_up(self) -> None: ...

    def check(self) -> None: ...

    def forget(self, digest: str) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Product:
    """The two services, and what to look at in them."""

    tts: TtsClient
    avatar: AvatarClient
    engine: SteadyEngine
    lanes: tuple[EngineLane, EngineLane]

    def speech(self, text: str, *, at_once: int) -> AsyncGenerator[Piece, None]:
        return narrate(self.tts, Narration(text, "English", at_once=at_once))

    def film(self, text: str, *, look_ahead: int = 2, at_once: int = 1) -> AsyncGenerator[FilmEvent, None]:
        maker = FilmMaker(self.tts, self.avatar, Pace(look_ahead=look_ahead, rendered_at_once=at_once))
        return maker.film(Script((Scene(text, "maya"),), language="English", width=128, height=128))


@asynccontextmanager
async def product(**tts: int) -> AsyncIterator[Product]:
    engine, tts_settings, avatar_settings = SteadyEngine(), TtsSettings(port=0, **tts), AvatarSettings(port=0, lanes=4)
    tts_app, avatar_app = create_tts(tts_settings, engine), create_avatar(avatar_settings)
    async with serve(tts_app, tts_settings) as tts_url, serve(avatar_app, avatar_settings) as avatar_url:
        tts, avatar = TtsClient(tts_url), AvatarClient(avatar_url)
        try:
            lanes = tts_app.state.speaker.lane, avatar_app.state.lip_sync.lane
            engine.spoken.clear()
            yield Product(tts, avatar, engine, lanes)
        finally:
            await asyncio.gather(tts.aclose(), avatar.aclose())


def with_product(visit: Callable[[Product], Awaitable[None]], **tts: int) -> None:
    async def run() -> None:
        async with product(**tts) as running:
            await visit(running)

    asyncio.run(run())


async def until_free(lanes: tuple[EngineLane, EngineLane]) -> None:
    for _ in range(500):
        if not any(lane.busy or lane.waiting for lane in lanes):
            return
        await asyncio.sleep(0.01)
    pytest.fail("a lane stayed busy")


def test_a_film_is_the_same_however_many_segments_are_rendered_at_once() -> None:
    async def visit(running: Product) -> None:
        films: list[bytes] = []
        for at_once in (1, 4):
            events = [event async for event in running.film(TEXT, look_ahead=6, at_once=at_once)]
            assert [event.index for event in events] == sorted(event.index for event in events)
            films.append(b"".join(event.data for event in events if isinstance(event, Fragment)))
        one_by_one, side_by_side = films
        assert len(one_by_one) > 10_000
        assert side_by_side == one_by_one

    with_product(visit)


def test_sentences_follow_each_other_on_the_timeline() -> None:
    async def visit(running: Product) -> None:
        spoken = [event async for event in running.film(TEXT) if isinstance(event, SentenceSpoken)]
        assert [event.first_frame for event in spoken[1:]] == [e.first_frame + e.frames for e in spoken[:-1]]

    with_product(visit)


@pytest.mark.parametrize("at_once", [1, 4])
def test_a_sentence_that_fails_ends_the_film_in_its_place(at_once: int) -> None:
    async def visit(running: Product) -> None:
        seen: set[int] = set()
        with pytest.raises(ServiceError, match="The tone broke") as caught:
            async for event in running.film(BROKEN, look_ahead=4, at_once=at_once):
                seen.add(event.index)
        assert caught.value.code == "engine_failed"
        assert seen <= {0, 1}
        assert "Four is here." not in running.engine.spoken
        await until_free(running.lanes)

    with_product(visit)


@pytest.mark.parametrize(("look_ahead", "at_once"), [(1, 1), (2, 1), (2, 3)])
def test_a_film_that_is_not_watched_is_not_made(look_ahead: int, at_once: int) -> None:
    async def visit(running: Product) -> None:
        async with aclosing(running.film(TEXT * 5, look_ahead=look_ahead, at_once=at_once)) as film:
            await anext(film)
            await asyncio.sleep(1)
            # One is being watched, one waits for a slot and one for room in the queue.
            assert len(running.engine.spoken) <= look_ahead + at_once + 2
        await until_free(running.lanes)

    with_product(visit)


def test_who_was_let_in_is_not_turned_away_at_the_next_sentence() -> None:
    async def visit(running: Product) -> None:
        text = "One is here. Two is here. Three is here."
        pieces = [piece async for piece in running.speech(text, at_once=3)]
        assert list(dict.fromkeys(piece.sentence for piece in pieces)) == [0, 1, 2]
        assert [event.index async for event in running.film(text, at_once=3) if isinstance(event, SentenceSpoken)] == [
            *range(3)
        ]

    with_product(visit, lanes=1, max_waiting=0)
