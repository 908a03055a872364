"""An avatar at rest: pieces of idle motion, rendered once and shown in any film, wherever nobody speaks.

All of it happens within the same ten seconds or so of the avatar's motion, forth and back, so that sooner or later
every piece is known and an idle session costs next to nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from cachetools import LRUCache

from services.chassis.ending import end_tasks
from services.contract.errors import EngineFailed, ServiceError
from services.contract.speech import SAMPLE_BYTES, AudioChunk
from services.contract.video import FILM_SAMPLE_RATE_HZ, Timeline
from services.gateway.clients import SpeechAnswer
from services.gateway.laying import Segment, SentenceSpoken
from services.gateway.live.film import Beginning, Footage, footage, piece_frames
from services.gateway.motions import Motion
from services.gateway.pipeline import FilmMaker
from services.gateway.script import Script

_log = logging.getLogger(__name__)

_PIECES = 32
"""Pieces one way."""

_KEPT_BYTES = 64 * 1024**2

_TIMES_SLOWER, _LONGEST_PAUSE_S = 3, 2.0
"""Pauses of what is rendered before anybody needs it: what is said comes first. The first piece may have taken
minutes, in which the face was prepared."""

Key = tuple[object, ...]


@dataclass(frozen=True)
class RestingPiece:
    """Some footage of an avatar at rest, and what a film with it begins with."""

    beginning: bytes
    footage: Sequence[Footage]

    @property
    def size_bytes(self) -> int:
        """How much is kept of it."""
        return len(self.beginning) + sum(len(one.moof) + len(one.mdat) for one in self.footage)


@dataclass(frozen=True)
class Swing:
    """The way there and back through the moments of a motion."""

    piece: int
    """Frames of a piece."""

    @property
    def last(self) -> int:
        """The moment at which it turns."""
        return _PIECES * self.piece

    def on(self, moment: int, *, upwards: bool) -> int:
        """Return the moment that a piece which begins with `moment` ends with."""
        at = moment // self.piece * self.piece
        if at != moment:
            return at + self.piece if moment < self.last else at
        if upwards:
            return at + self.piece if at < self.last else at - self.piece
        return at - self.piece if at else self.piece

    def pieces(self) -> Iterator[tuple[int, int]]:
        """Yield the moments between which it goes there and back, and those at which it is held."""
        moment, upwards = 0, True
        for _ in range(2 * _PIECES):
            end = self.on(moment, upwards=upwards)
            yield moment, end
            moment, upwards = end, end > moment
        for moment in range(0, self.last + 1, self.piece):
            yield moment, moment

    def after(self, moment: int, frames: int) -> int:
        """Return the moment that a sentence of `frames` frames ends with: where idle pieces begin."""
        end = moment + frames
        if end > self.last:
            end = 2 * self.last - end
        lowest, highest = moment - frames, moment + frames
        lowest = -(-lowest // self.piece) * self.piece
        return max(0, lowest, min(highest, end) // self.piece * self.piece)


class Rest:
    """The idle pieces of all avatars that were needed of late."""

    def __init__(self, films: FilmMaker) -> None:
        self._films = films
        self._kept: LRUCache[Key, RestingPiece] = LRUCache(_KEPT_BYTES, getsizeof=lambda piece: piece.size_bytes)
        self._rendering: dict[Key, asyncio.Task[RestingPiece]] = {}
        self._walking: dict[Key, asyncio.Task[None]] = {}

    async def piece(self, script: Script, look: str, start: int, end: int) -> RestingPiece:
        """Return the piece that leads from moment `start` to `end`; `look` changes with all that is seen.

        Raises whatever the avatar service refuses.
        """
        kept = self._kept.get(_key(script, look, start, end))
        return kept if kept is not None else await asyncio.shield(self._rendered_once(script, look, start, end))

    def prepare(self, script: Script, look: str, start: int, end: int) -> None:
        """Have a piece rendered that will be asked for."""
        if _key(script, look, start, end) not in self._kept:
            self._rendered_once(script, look, start, end)

    def prepare_all(self, script: Script, look: str) -> None:
        """Have the whole swing rendered, slowly, so that no piece is waited for later."""
        key = _key(script, look, 0, 0)
        if key not in self._walking:
            self._walking[key] = asyncio.create_task(self._walk(script, look))
            self._walking[key].add_done_callback(lambda _: self._walking.pop(key))

    async def aclose(self) -> None:
        """Stop rendering."""
        await end_tasks(*self._walking.values())
        await end_tasks(*self._rendering.values())

    async def _walk(self, script: Script, look: str) -> None:
        for start, end in Swing(piece_frames(script.fps)).pieces():
            asked_at_s = time.monotonic()
            try:
                await self.piece(script, look, start, end)
            except ServiceError:
                return  # whoever needs it asks again
            took_s = time.monotonic() - asked_at_s
            await asyncio.sleep(min(_TIMES_SLOWER * took_s, _LONGEST_PAUSE_S))

    def _rendered_once(self, script: Script, look: str, start: int, end: int) -> asyncio.Task[RestingPiece]:
        """Return the rendering of a piece, whoever has it rendered."""
        key = _key(script, look, start, end)
        if key not in self._rendering:
            self._rendering[key] = asyncio.create_task(self._rendered(script, start, end))
            self._rendering[key].add_done_callback(lambda done: self._keep(key, done))
        return self._rendering[key]

    def _keep(self, key: Key, done: asyncio.Task[RestingPiece]) -> None:
        del self._rendering[key]
        if done.cancelled():
            return
        if (error := done.exception()) is not None:
            _log.warning("an idle piece was not rendered: %s", error)
        elif done.result().size_bytes <= _KEPT_BYTES:
            self._kept[key] = done.result()

    async def _rendered(self, script: Script, start: int, end: int) -> RestingPiece:
        frames = piece_frames(script.fps)
        segment = Segment(
            SentenceSpoken(0, 1, 0, frames, _nobody()),
            AudioChunk(_silence(script.fps, frames), FILM_SAMPLE_RATE_HZ),
            script.scenes[0],
            Motion(start=start, end=end, frames=frames),
            urgent=True,
        )
        beginning, made = b"", list[Footage]()
        async for one in footage(self._films, script, segment):
            if isinstance(one, Beginning):
                beginning = one.boxes
            else:
                made.append(one)
        if sum(one.frames for one in made) != frames:
            raise EngineFailed("The avatar service sent another number of frames than were asked for; try again.")
        return RestingPiece(beginning, made)


def _key(script: Script, look: str, start: int, end: int) -> Key:
    [scene] = script.scenes
    return (
        look,
        scene.avatar,
        scene.background,
        script.fps,
        script.width,
        script.height,
        script.frame_skip,
        start,
        end,
    )


def _nobody() -> SpeechAnswer:
    async def nothing() -> AsyncIterator[AudioChunk]:
        return
        yield

    return SpeechAnswer(
        engine="", language="", voice="", notices="", takes=1, cached=False, copied=False, chunks=nothing()
    )


def _silence(fps: Fraction, frames: int) -> bytes:
    return bytes(SAMPLE_BYTES * Timeline(fps).samples_between(0, frames))
