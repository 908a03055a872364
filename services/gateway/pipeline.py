"""The walk: text, sentences, speech, segments, in order.

A segment knows its own place: it is rendered by one stateless request that carries its first frame.
So while one is rendered the next is already spoken, several can be rendered side by side, and
streaming and batch are the same walk.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from services.chassis.cache.levels import Cache
from services.chassis.fmp4 import Box, BoxReader
from services.contract.errors import EngineFailed, ServiceError
from services.contract.video import LipSyncParams
from services.gateway.ahead import Ahead, side_by_side
from services.gateway.calling import PATIENCE_S
from services.gateway.clients import AvatarClient, TtsClient
from services.gateway.laying import Segment, SentenceSpoken, lay_down
from services.gateway.script import Script

_log = logging.getLogger(__name__)

_EVENTS_AHEAD = 256
"""More than one sentence makes: a segment rendered before its turn never waits for it."""

_LAST_OF_UNIT = frozenset({"moov", "mdat"})
"""A film is taken up after a whole unit: its init segment, or a fragment with its samples."""

_TRIES = 3
"""A segment whose replica breaks off is asked of another one."""


@dataclass(frozen=True)
class Fragment:
    """Bytes of the film, in order: the init box once, then the fragments of sentence `index`."""

    index: int
    data: bytes


@dataclass(frozen=True)
class SegmentDone:
    """All fragments of sentence `index` of `total` are there, which last for `frames` frames."""

    index: int
    total: int
    frames: int


FilmEvent = SentenceSpoken | Fragment | SegmentDone


@dataclass(frozen=True)
class Pace:
    """How much of one film is made at once."""

    spoken_at_once: int = 1
    look_ahead: int = 2
    """Sentences spoken before they are rendered."""
    rendered_at_once: int = 1


class FilmMaker:
    """Makes films with the two services. With a `cache`, an edited film keeps what was not edited."""

    def __init__(self, tts: TtsClient, avatar: AvatarClient, pace: Pace, cache: Cache | None = None) -> None:
        self._tts = tts
        self._avatar = avatar
        self._pace = pace
        self._cache = cache

    async def film(
        self, script: Script, pace: Pace | None = None, patience_s: float = 0.0
    ) -> AsyncGenerator[FilmEvent, None]:
        """Yield the film as it is made. Closing the generator stops both services.

        `patience_s` is how long it waits for the services to have room for the first sentence.
        Raises `InvalidRequest` for text without words, and whatever the services refuse.
        """
        segments = self.speak(script, pace, patience_s)
        async with aclosing(self.render(script, segments, pace, patience_s)) as events:
            async for event in events:
                yield event

    def speak(self, script: Script, pace: Pace | None = None, patience_s: float = 0.0) -> AsyncGenerator[Segment, None]:
        """Return the sentences of `script`, spoken as they are read, each in its place."""
        at_once = (pace or self._pace).spoken_at_once
        return lay_down(self._tts, script, self._cache, at_once=at_once, patience_s=patience_s)

    async def render(
        self,
        script: Script,
        segments: AsyncGenerator[Segment, None],
        pace: Pace | None = None,
        patience_s: float = 0.0,
    ) -> AsyncGenerator[FilmEvent, None]:
        """Yield the film of sentences that are spoken already, or will be.

        `patience_s` is how long it waits for the avatar service to have room for the first one.
        """
        pace = pace or self._pace
        sources = self._shots(script, segments, pace.look_ahead, patience_s)
        shots = side_by_side(sources, pace.rendered_at_once, _EVENTS_AHEAD)
        async with aclosing(shots):
            async for event in shots:
                yield event

    async def _shots(
        self, script: Script, segments: AsyncGenerator[Segment, None], look_ahead: int, patience_s: float
    ) -> AsyncGenerator[AsyncGenerator[FilmEvent, None], None]:
        async with aclosing(Ahead(segments, look_ahead)) as ahead:
            async for segment in ahead:
                yield self.shot(script, segment, PATIENCE_S if segment.spoken.index else patience_s)

    async def shot(
        self, script: Script, segment: Segment, patience_s: float = PATIENCE_S
    ) -> AsyncGenerator[FilmEvent, None]:
        """Yield what one segment adds to the film; with sentence 0, the film's beginning too."""
        spoken = segment.spoken
        yield spoken
        given = 0
        for tries_left in reversed(range(_TRIES)):
            try:
                # A replica renders the same bytes as the one that broke off, so it can be taken up in the middle.
                seen = 0
                async with aclosing(self._units(script, segment, patience_s)) as pieces:
                    async for units in pieces:
                        new, seen = units[max(0, given - seen) :], seen + len(units)
                        given = max(given, seen)
                        if new:
                            yield Fragment(spoken.index, b"".join(new))
                break
            except ServiceError as error:
                if not (tries_left and error.retryable) or (error.status == 503 and not given):
                    raise
                _log.warning("sentence %d is asked for again: %s", spoken.index, error.detail)
                patience_s = PATIENCE_S
        yield SegmentDone(spoken.index, spoken.total, spoken.frames)

    async def _units(self, script: Script, segment: Segment, patience_s: float) -> AsyncGenerator[list[bytes], None]:
        """Yield the init segment and the fragments of a segment as they come; only the first one needs the init."""
        reader, head = BoxReader(), b""
        async with self._avatar.lipsync(_params(script, segment), segment.speech, patience_s) as pieces:
            async for piece in pieces:
                whole: list[bytes] = []
                for box in _boxes(reader, piece):
                    if box.is_init and segment.spoken.index > 0:
                        continue
                    head += box.data
                    if box.kind in _LAST_OF_UNIT:
                        whole, head = [*whole, head], b""
                yield whole
        if not reader.at_boundary:
            raise EngineFailed("The avatar service broke off in the middle of a fragment; try again.")


def _boxes(reader: BoxReader, piece: bytes) -> list[Box]:
    try:
        return reader.feed(piece)
    except ValueError as error:
        raise EngineFailed("The avatar service sent no film; try again.") from error


async def fragments_of(film: AsyncGenerator[FilmEvent, None]) -> AsyncGenerator[bytes, None]:
    """Yield the bytes of a film; closing this closes it."""
    async with aclosing(film):
        async for event in film:
            if isinstance(event, Fragment):
                yield event.data


def _params(script: Script, segment: Segment) -> LipSyncParams:
    return LipSyncParams(
        avatar=segment.scene.avatar,
        first_frame=segment.spoken.first_frame,
        motion_frame=segment.motion.start,
        motion_end=segment.motion.end,
        fps=script.fps,
        width=script.width,
        height=script.height,
        frame_skip=script.frame_skip,
        background=segment.scene.background,
        use_cache=script.use_cache,
        lasting=not segment.spoken.answer.copied,
        urgent=segment.urgent,
    )
