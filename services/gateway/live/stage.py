"""A live film without holes: what is said is shown as soon as it is rendered, and between the avatar rests.

The film runs a little ahead of the clock. While nobody speaks, an idle piece is added each time the film is
about to run out; a sentence begins where the last piece ends, and is rendered for that place and pose at once.
Should it not be there in time, more pieces are put before it, which lead back to the same pose: the fragments
are then shown so much later, and nothing is rendered again. Every frame and every packet of sound stands on
one timeline, on which nothing is ever rounded, so they cannot drift apart. A film that was held up goes on where
its viewers were left: what was missed is not made up for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from services.chassis.ending import end_tasks
from services.contract.errors import ServiceError
from services.contract.speech import SAMPLE_BYTES
from services.contract.video import Timeline
from services.gateway.laying import Segment, SentenceSpoken
from services.gateway.live.clock import FilmClock
from services.gateway.live.film import Beginning, Footage
from services.gateway.live.idling import Idling
from services.gateway.live.rest import Rest, RestingPiece
from services.gateway.live.shot import Cue, Shot
from services.gateway.motions import Motion
from services.gateway.pipeline import FilmMaker
from services.gateway.script import Script
from services.gateway.utterance import LEAD_S, lay_out

_SHOTS = 2
"""The sentence that is shown, and the next one."""


@dataclass(frozen=True)
class Unit:
    """A fragment of the film, and its sound as 16-bit mono PCM at the film's rate."""

    first_frame: int
    frames: int
    data: bytes
    pcm: bytes
    cue: Cue | None
    """What is said in it; None where the avatar rests."""
    shown_s: float
    """How much of the sentence has been shown at its end."""
    late_s: float
    """By how much it missed its time on the clock, 0 where it did not."""


@dataclass(frozen=True)
class Shown:
    """All of a sentence has been shown."""

    cue: Cue


@dataclass(frozen=True)
class NotShown:
    """A sentence could not be rendered, or not to its end."""

    cue: Cue
    error: ServiceError


StageEvent = Beginning | Unit | Shown | NotShown


class Stage:
    """The film of one session."""

    def __init__(self, films: FilmMaker, rest: Rest, script: Script, look: str, *, idle: bool, lead_s: float) -> None:
        """`script` has one scene, whose text does not matter. `look` changes with all that is seen.

        With `idle`, the film goes on between sentences, `lead_s` ahead of the clock; otherwise it consists of
        what is said, and comes as fast as it is rendered.
        """
        self._films = films
        self._script = script
        self._idling = Idling(rest, script, look)
        self._idle = idle
        self._timeline = Timeline(script.fps)
        self._clock = FilmClock(self._timeline, lead_s if idle else None)
        self._shots: deque[Shot] = deque()
        self._closing: set[asyncio.Task[None]] = set()
        self._news, self._room = asyncio.Event(), asyncio.Event()
        self._frame = self._fragments = 0
        self._generation = 0
        self._has_beginning = self._over = False

    async def say(self, cue: Cue) -> None:
        """Have a sentence shown after those before it; returns once it is being rendered."""
        while len(self._shots) >= _SHOTS:
            self._room.clear()
            await self._room.wait()
        self._add(cue)

    async def all_shown(self) -> None:
        """Return when nothing is left to be said."""
        while self._shots:
            self._room.clear()
            await self._room.wait()

    def interrupt(self) -> None:
        """Say nothing more of what was to be said; the film goes on from what was given last."""
        self._generation += 1
        if self._shots and (shown := self._shots[0].shown_frames):
            self._idling.go_to(round(self._shots[0].path.at(shown)))
        self._drop_shots()
        self._prepare_rest()

    async def play(self) -> AsyncGenerator[StageEvent, None]:
        """Yield the film, each fragment when its time has come.

        Raises whatever the avatar service refuses when an idle piece is asked for.
        """
        if self._idle:
            self._idling.prepare_all()
        try:
            while True:
                self._news.clear()
                if self._shots and self._shots[0].ready:
                    scene = self._play_shot(self._shots[0])
                elif self._idle and self._clock.is_due(self._frame):
                    scene = self._play_rest()
                else:
                    await self._sleep_until(self._frame if self._idle else None)
                    continue
                async for event in scene:
                    yield event
        finally:
            self._over = True
            self._drop_shots()
            await asyncio.gather(*self._closing, return_exceptions=True)

    async def _play_shot(self, shot: Shot) -> AsyncGenerator[StageEvent, None]:
        """Show a sentence until its end, or until it is interrupted."""
        generation, put_off = self._generation, self._frame - shot.first_frame
        if put_off % self._idling.piece_frames:
            self._plan_anew()
            return
        failure: ServiceError | None = None
        try:
            while (one := await self._next(shot, generation)) is not None:
                if isinstance(one, Beginning):
                    for event in self._begin(one):
                        yield event
                    continue
                await self._until_due(one.first_frame + put_off, generation)
                if generation != self._generation:
                    return
                if not shot.shown_frames:
                    self._prepare_rest_after(shot)
                shot.shown_frames += one.frames
                yield self._unit(one, one.first_frame + put_off, shot)
        except ServiceError as error:
            failure = error
        if generation != self._generation:
            return
        self._leave(shot)
        if shot.shown_frames:
            self._idling.go_to(round(shot.path.at(shot.shown_frames)), upwards=True)
        if failure is None:
            yield Shown(shot.cue)
        else:
            self._plan_anew()
            if not self._shots:
                self._prepare_rest()
            yield NotShown(shot.cue, failure)

    async def _next(self, shot: Shot, generation: int) -> Beginning | Footage | None:
        """Return the next piece of a sentence; None after the last one, or once it is interrupted."""
        while generation == self._generation:
            if shot.ready:
                return shot.take()
            self._news.clear()
            await self._news.wait()
        return None

    async def _until_due(self, frame: int, generation: int) -> None:
        """Return when `frame` is to be given, or what is said is interrupted."""
        while generation == self._generation and not self._clock.is_due(frame):
            self._news.clear()
            await self._sleep_until(frame)

    async def _play_rest(self) -> AsyncGenerator[StageEvent, None]:
        """Go on without a word; a sentence that is being rendered finds the pose it was planned for."""
        start = self._idling.moment
        end = start if self._shots else self._idling.following
        if (piece := await self._unless_said(start, end)) is None:
            return
        first_frame = self._frame
        self._frame += self._idling.piece_frames  # before anything is yielded: what is said meanwhile comes after it
        self._idling.go_to(end)
        if not self._shots:
            self._prepare_rest()
        for event in self._begin(Beginning(piece.beginning)):
            yield event
        for one in piece.footage:
            yield self._unit(one, first_frame + one.first_frame, None)

    async def _unless_said(self, start: int, end: int) -> RestingPiece | None:
        """Return an idle piece; None once something is said for which it is not needed."""
        asking = asyncio.create_task(self._idling.piece(start, end))
        asking.add_done_callback(lambda _: self._news.set())
        try:
            while not (self._shots and (self._shots[0].ready or end != start)):
                if asking.done():
                    return asking.result()
                self._news.clear()
                await self._news.wait()
            return None
        finally:
            await end_tasks(asking)

    def _prepare_rest(self) -> None:
        """Have the idle piece rendered that comes next, before it is due."""
        if self._idle:
            self._idling.prepare()

    def _prepare_rest_after(self, shot: Shot) -> None:
        """Have the idle piece rendered that comes after a sentence, or before the next one should that be late."""
        if self._idle and self._shots[-1] is shot:
            self._idling.prepare(shot.path.end)
        elif self._idle:
            self._idling.prepare_hold(shot.path.end)

    def _begin(self, beginning: Beginning) -> list[Beginning]:
        if self._has_beginning:
            return []
        self._has_beginning = True
        return [beginning]

    def _unit(self, one: Footage, first_frame: int, shot: Shot | None) -> Unit:
        self._fragments += 1
        self._frame = max(self._frame, first_frame + one.frames)
        samples = self._timeline.samples_between(first_frame, one.frames)
        pcm, until_s = bytes(SAMPLE_BYTES * samples), 0.0
        if shot is not None:
            begin = self._timeline.samples_between(shot.first_frame, one.first_frame - shot.first_frame)
            pcm = shot.segment.speech.pcm[SAMPLE_BYTES * begin : SAMPLE_BYTES * (begin + samples)]
            until_s = (begin + samples) / self._timeline.sample_rate_hz
        return Unit(
            first_frame=first_frame,
            frames=one.frames,
            data=one.put_off(first_frame - one.first_frame, self._fragments, self._timeline),
            pcm=pcm,
            cue=None if shot is None else shot.cue,
            shown_s=until_s,
            late_s=self._clock.give(first_frame),
        )

    def _add(self, cue: Cue) -> None:
        """Have a sentence rendered for the place after all that is planned; nothing once the film is over."""
        if self._over:
            return
        last = self._shots[-1] if self._shots else None
        first_frame = self._frame if last is None else last.first_frame + last.frames
        moment = self._idling.moment if last is None else last.path.end
        speech = lay_out(cue.speech, self._timeline, first_frame, lead_s=LEAD_S, pause_s=cue.line.pause_s)
        frames = self._timeline.frames_to_hold(first_frame, speech.samples)
        motion = Motion(start=moment, end=self._idling.after(moment, frames), frames=frames)
        # As the first sentence of a film, so that it comes with a beginning.
        spoken = SentenceSpoken(0, 1, first_frame, frames, cue.answer)
        segment = Segment(spoken, speech, self._script.scenes[0], motion)
        self._shots.append(Shot(self._films, self._script, cue, segment, self._news))
        # Not before: the first fragment of an answer is what everybody waits for, so nothing is rendered beside it.
        if last is not None and last.shown_frames:
            self._prepare_rest_after(last)
        self._news.set()

    def _plan_anew(self) -> None:
        """Have what is still to be said rendered for other places: what was before it did not last as long."""
        cues = [shot.cue for shot in self._shots]
        self._drop_shots()
        for cue in cues:
            self._add(cue)

    def _drop_shots(self) -> None:
        while self._shots:
            self._leave(self._shots[0])
        self._news.set()

    def _leave(self, shot: Shot) -> None:
        self._shots.remove(shot)
        self._room.set()
        closing = asyncio.create_task(shot.close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _sleep_until(self, frame: int | None) -> None:
        """Return when `frame` is to be given, or something happens before."""
        try:
            await asyncio.wait_for(self._news.wait(), None if frame is None else self._clock.wait_s(frame))
        except asyncio.TimeoutError:
            return
