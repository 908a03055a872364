"""A live film has no holes: its frames and its sound stay on one timeline, whatever is said, and when."""

from __future__ import annotations

import asyncio
import io
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, closing
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import cast

import av
import pytest

from services.avatar.mux import mux_segment
from services.avatar.segment import segment_of
from services.chassis.fmp4 import track_runs
from services.contract.errors import EngineFailed
from services.contract.motion import MotionPath
from services.contract.speech import SAMPLE_BYTES
from services.contract.video import FILM_SAMPLE_RATE_HZ, LipSyncParams
from services.gateway.clients import SpeechAnswer
from services.gateway.laying import Segment
from services.gateway.lines import Line
from services.gateway.live.film import Beginning, piece_frames
from services.gateway.live.rest import Rest, Swing
from services.gateway.live.shot import Cue
from services.gateway.live.stage import NotShown, Shown, Stage, StageEvent, Unit
from services.gateway.pipeline import FilmEvent, FilmMaker, Fragment
from services.gateway.script import Scene, Script
from tests.live import run_jumping, tone
from tests.service.card import CardEngine, CardTrack, read_number

FPS = Fraction(25)
SCRIPT = Script((Scene("", "card"),), fps=FPS, width=128, height=128)
PACKET_SAMPLES = 1024


@dataclass
class Cards:
    """Renders as the avatar service does, and takes `before_s` and then `each_s` for every fragment."""

    before_s: float = 0.15
    each_s: float = 0.03
    fails: Callable[[Segment], int | None] = lambda segment: None
    """After how many fragments a segment fails."""
    stalls_s: Callable[[Segment, int], float] = lambda segment, number: 0.0
    """How much longer a fragment takes."""
    shots: int = 0
    sentences: int = 0
    engine: CardEngine = field(default_factory=CardEngine)

    async def shot(self, script: Script, segment: Segment, patience_s: float = 0.0) -> AsyncGenerator[FilmEvent, None]:
        self.shots += 1
        self.sentences += not segment.urgent
        fails_after = self.fails(segment)
        motion = segment.motion
        asked = segment_of(
            segment.speech,
            LipSyncParams(
                avatar="card",
                first_frame=segment.spoken.first_frame,
                motion_frame=motion.start,
                motion_end=motion.end,
                fps=script.fps,
                width=script.width,
                height=script.height,
            ),
        )
        track = CardTrack(asked.size, "")
        frames = self.engine.render(track, asked.speech, asked.first_frame, script.fps, motion=asked.motion)
        await asyncio.sleep(self.before_s)
        with closing(mux_segment(frames, asked)) as pieces:
            for number, piece in enumerate(pieces):
                if number == fails_after:
                    raise EngineFailed("The card tore.")
                await asyncio.sleep(self.each_s + self.stalls_s(segment, number))
                yield Fragment(segment.spoken.index, piece)


def cue(number: int, duration_s: float) -> Cue:
    """Return a sentence of so many seconds."""

    async def nothing() -> AsyncIterator[object]:
        return
        yield

    answer = SpeechAnswer("tone", "en", "tone", "", 1, False, False, cast(AsyncIterator, nothing()))
    line = Line(f"Sentence {number}.", 0.24)
    return Cue(0, number, line, tone(duration_s, line.text, FILM_SAMPLE_RATE_HZ), answer)


def stage_of(cards: Cards, *, idle: bool = True, lead_s: float = 0.4, script: Script = SCRIPT) -> Stage:
    films = cast(FilmMaker, cards)
    return Stage(films, Rest(films), script, "card", idle=idle, lead_s=lead_s)


async def played_beside(
    stage: Stage, act: Callable[[], AsyncGenerator[None, None]], see: Callable[[StageEvent], None]
) -> None:
    """Play until all of `act` is done and shown."""

    async def play() -> None:
        async with aclosing(stage.play()) as events:
            async for event in events:
                see(event)
                await asyncio.sleep(0.0005)  # sending takes a moment

    playing = asyncio.create_task(play())
    acting = asyncio.create_task(_done(act, stage))
    await asyncio.wait([playing, acting], return_when=asyncio.FIRST_COMPLETED)
    if playing.done():
        acting.cancel()
        playing.result()
    playing.cancel()
    await asyncio.gather(playing, acting, return_exceptions=True)


async def _done(act: Callable[[], AsyncGenerator[None, None]], stage: Stage) -> None:
    async for _ in act():
        pass
    await stage.all_shown()
    await asyncio.sleep(0.01)


def played(stage: Stage, act: Callable[[], AsyncGenerator[None, None]]) -> list[StageEvent]:
    """Return what `stage` plays while `act` is done, on a clock nobody waits for."""

    async def run() -> list[StageEvent]:
        events: list[StageEvent] = []
        await played_beside(stage, act, events.append)
        return events

    return run_jumping(run())


def units_of(events: list[StageEvent]) -> list[Unit]:
    return [event for event in events if isinstance(event, Unit)]


def assert_no_holes(units: list[Unit], fps: Fraction = FPS) -> None:
    """Fail unless each track of the film goes on exactly where it stopped, and both stay together."""
    frame = packet = 0
    for unit in units:
        pictures, sound = track_runs(unit.data)
        assert unit.first_frame == frame == pictures.start // pictures.sample_ticks
        assert sound.start == packet * PACKET_SAMPLES
        frame, packet = frame + pictures.samples, packet + sound.samples
        sound_ahead = packet * PACKET_SAMPLES - frame * FILM_SAMPLE_RATE_HZ / fps
        assert 0 <= sound_ahead < 2 * PACKET_SAMPLES
        assert len(unit.pcm) == SAMPLE_BYTES * unit.frames * FILM_SAMPLE_RATE_HZ / fps


def film_of(events: list[StageEvent]) -> bytes:
    return b"".join(
        event.boxes if isinstance(event, Beginning) else event.data
        for event in events
        if isinstance(event, (Beginning, Unit))
    )


def moments_of(film: bytes) -> list[int]:
    """Return the moment of the motion that each frame shows."""
    with av.open(io.BytesIO(film)) as container:
        return [read_number(frame.to_ndarray(format="bgr24")) for frame in container.decode(video=0)]


def test_an_hour_has_no_hole_and_no_drift() -> None:
    chance, cards = random.Random(3), Cards()
    stage = stage_of(cards)

    async def act() -> AsyncGenerator[None, None]:
        number = 0
        while asyncio.get_running_loop().time() < 3600:
            await asyncio.sleep(chance.uniform(0.5, 120))
            for _ in range(chance.randint(1, 4)):
                await stage.say(cue(number, chance.uniform(0.3, 3.0)))
                number += 1
            if chance.random() < 0.3:
                await asyncio.sleep(chance.uniform(0.0, 2.0))
                stage.interrupt()
            yield

    units = units_of(played(stage, act))
    assert_no_holes(units)
    assert [unit.late_s for unit in units if unit.late_s] == []
    assert sum(unit.frames for unit in units) >= 3600 * FPS
    assert 0.01 < sum(unit.frames for unit in units if unit.cue) / sum(unit.frames for unit in units) < 0.5


def test_the_pose_goes_on_smoothly_from_rest_to_speech_and_through_interruptions() -> None:
    chance = random.Random(4)
    stage = stage_of(Cards(before_s=0.9))

    async def act() -> AsyncGenerator[None, None]:
        for number in range(12):
            await asyncio.sleep(chance.uniform(0.0, 4.0))
            await stage.say(cue(number, chance.uniform(0.3, 5.0)))
            if number % 3 == 0:
                await asyncio.sleep(chance.uniform(0.0, 3.0))
                stage.interrupt()
            yield

    events = played(stage, act)
    assert_no_holes(units_of(events))
    moments = moments_of(film_of(events))
    assert max(abs(now - before) for before, now in pairwise(moments)) <= 2
    assert len(moments) == sum(unit.frames for unit in units_of(events))


def test_what_is_seen_and_heard_of_a_sentence_comes_together_wherever_it_is_put() -> None:
    stage = stage_of(Cards(before_s=1.1))

    async def act() -> AsyncGenerator[None, None]:
        await asyncio.sleep(3)
        await stage.say(cue(0, 1.0))
        yield

    events = played(stage, act)
    speech = [unit for unit in units_of(events) if unit.cue]
    with av.open(io.BytesIO(film_of(events))) as container:
        sound, rate = [], 0
        for frame in container.decode(audio=0):
            sound.append(abs(frame.to_ndarray()).max())
            rate = frame.sample_rate
        heard_s = next(number for number, level in enumerate(sound) if level > 0.1) * PACKET_SAMPLES / rate
    begins_s = float((speech[0].first_frame) / FPS)
    assert begins_s + 0.1 - PACKET_SAMPLES / rate <= heard_s <= begins_s + 0.1 + 2 * PACKET_SAMPLES / rate


def test_nothing_of_what_is_interrupted_follows() -> None:
    stage = stage_of(Cards())
    interrupted_at: list[int] = []

    async def act() -> AsyncGenerator[None, None]:
        await stage.say(cue(0, 3.0))
        await stage.say(cue(1, 3.0))
        await asyncio.sleep(1.5)
        stage.interrupt()
        interrupted_at.append(len(seen))
        await stage.say(cue(2, 1.0))
        await stage.all_shown()
        yield

    seen: list[Unit] = []

    def see(event: StageEvent) -> None:
        if isinstance(event, Unit):
            seen.append(event)

    run_jumping(played_beside(stage, act, see))
    assert_no_holes(seen)
    assert {unit.cue.index for unit in seen[: interrupted_at[0]] if unit.cue} == {0}
    assert {unit.cue.index for unit in seen[interrupted_at[0] :] if unit.cue} == {2}


def test_an_interruption_may_come_while_a_fragment_is_being_sent() -> None:
    stage = stage_of(Cards(each_s=0.3))
    speech: list[Unit] = []

    def see(event: StageEvent) -> None:
        if isinstance(event, Unit) and event.cue is not None:
            speech.append(event)
            if len(speech) == 3:
                stage.interrupt()

    async def act() -> AsyncGenerator[None, None]:
        await stage.say(cue(0, 5.0))
        await asyncio.sleep(8)
        yield

    run_jumping(played_beside(stage, act, see))
    assert len(speech) == 3


def test_a_sentence_that_breaks_is_told_and_the_film_goes_on() -> None:
    def fails(segment: Segment) -> int | None:
        return 3 if "breaks" in segment.scene.text or segment.speech.duration_s > 3 else None

    stage = stage_of(Cards(fails=fails))

    async def act() -> AsyncGenerator[None, None]:
        for number, duration_s in enumerate((1.0, 4.0, 1.0)):
            await stage.say(cue(number, duration_s))
        await stage.all_shown()
        yield

    events = played(stage, act)
    assert_no_holes(units_of(events))
    assert [event.cue.index for event in events if isinstance(event, Shown)] == [0, 2]
    [failed] = [event for event in events if isinstance(event, NotShown)]
    assert (failed.cue.index, failed.error.code) == (1, "engine_failed")


def test_without_rest_there_is_only_what_is_said_as_fast_as_it_is_rendered() -> None:
    stage = stage_of(Cards(), idle=False)

    async def act() -> AsyncGenerator[None, None]:
        for number in range(3):
            await asyncio.sleep(5)
            await stage.say(cue(number, 2.0))
        await stage.all_shown()
        yield

    events = played(stage, act)
    assert_no_holes(units_of(events))
    assert all(unit.cue for unit in units_of(events))
    assert isinstance(events[0], Beginning)
    assert len([event for event in events if isinstance(event, Beginning)]) == 1


def test_an_avatar_at_rest_is_rendered_once() -> None:
    cards = Cards()
    stage = stage_of(cards)

    async def act() -> AsyncGenerator[None, None]:
        await asyncio.sleep(120)
        yield

    units = units_of(played(stage, act))
    assert_no_holes(units)
    assert cards.shots <= 97 < len(units)  # 32 pieces there, as many back, and one held at each end


def test_nothing_is_rendered_beside_the_first_fragment_of_an_answer() -> None:
    begun: list[Segment] = []

    def fails(segment: Segment) -> None:
        begun.append(segment)

    stage = stage_of(Cards(fails=fails))

    async def act() -> AsyncGenerator[None, None]:
        await asyncio.sleep(10)
        begun.clear()
        await stage.say(cue(0, 1.0))
        await stage.say(cue(1, 1.0))
        yield

    events = played(stage, act)
    assert [event.cue.index for event in events if isinstance(event, Shown)] == [0, 1]
    assert not begun[0].urgent and not begun[1].urgent, "idle pieces come after both sentences"


def test_rest_after_a_sentence_is_there_in_time_however_slow_rendering_is() -> None:
    stage = stage_of(Cards(before_s=1.0))

    async def act() -> AsyncGenerator[None, None]:
        await stage.say(cue(0, 5.0))
        await stage.all_shown()
        await asyncio.sleep(1)
        yield

    units = units_of(played(stage, act))
    spoken = [number for number, unit in enumerate(units) if unit.cue]
    assert units[spoken[-1] + 1].late_s == units[spoken[-1]].late_s == 0


def test_a_sentence_does_not_wait_for_an_idle_piece_that_is_late() -> None:
    stage = stage_of(Cards(stalls_s=lambda segment, _: 60.0 if segment.urgent and segment.motion.start >= 80 else 0.0))
    given_s: list[float] = []

    def see(event: StageEvent) -> None:
        if isinstance(event, Unit) and event.cue is not None:
            given_s.append(asyncio.get_running_loop().time())

    async def act() -> AsyncGenerator[None, None]:
        await asyncio.sleep(20)  # the film has stood still for a while by now
        await stage.say(cue(0, 2.0))
        yield

    run_jumping(played_beside(stage, act, see))
    assert 20 < given_s[0] < 21


def test_a_film_that_was_held_up_goes_on_where_it_was_left() -> None:
    stage = stage_of(Cards(stalls_s=lambda segment, number: 0.0 if segment.urgent or number != 2 else 3.0))
    given: list[tuple[float, Unit]] = []

    def see(event: StageEvent) -> None:
        if isinstance(event, Unit):
            given.append((asyncio.get_running_loop().time(), event))

    async def act() -> AsyncGenerator[None, None]:
        await asyncio.sleep(1)
        await stage.say(cue(0, 4.0))
        await stage.all_shown()
        await asyncio.sleep(2)
        yield

    run_jumping(played_beside(stage, act, see))
    assert_no_holes([unit for _, unit in given])
    [held_up] = [number for number, (_, unit) in enumerate(given) if unit.late_s]
    began_s, first = given[held_up]
    assert 1.5 < first.late_s < 3
    ahead_s = 0.4 + piece_frames(FPS) / FPS  # idle pieces are given whole
    for at_s, unit in given[held_up:]:
        assert at_s - began_s > (unit.first_frame - first.first_frame) / FPS - ahead_s - 0.01


def test_nothing_is_rendered_for_a_film_that_is_over() -> None:
    cards = Cards()
    stage = stage_of(cards)

    async def run() -> int:
        for number in range(2):
            await stage.say(cue(number, 2.0))
        waiting = asyncio.create_task(stage.say(cue(2, 2.0)))
        async with aclosing(stage.play()) as events:
            async for _ in events:
                break
            begun = cards.sentences
        await waiting
        await stage.say(cue(3, 2.0))
        await stage.all_shown()
        await asyncio.sleep(1)
        return cards.sentences - begun

    assert run_jumping(run()) == 0


def test_idle_pieces_are_asked_for_again_and_without_them_the_film_ends() -> None:
    async def nothing() -> AsyncGenerator[None, None]:
        await asyncio.sleep(2)
        yield

    failing = iter([1, None, 1, None, *[None] * 100])
    assert_no_holes(units_of(played(stage_of(Cards(fails=lambda _: next(failing))), nothing)))

    async def long() -> AsyncGenerator[None, None]:
        await asyncio.sleep(100)
        yield

    with pytest.raises(EngineFailed):
        played(stage_of(Cards(fails=lambda _: 0)), long)


@pytest.mark.parametrize("fps", [25, 30, 50, 60])
def test_idle_pieces_fit_the_grid_of_sound(fps: int) -> None:
    frames = piece_frames(Fraction(fps))
    assert frames * FILM_SAMPLE_RATE_HZ % (fps * PACKET_SAMPLES) == 0
    assert 0.3 <= frames / fps <= 0.6


@pytest.mark.parametrize("fps", [30, 60])
def test_other_frame_rates_have_no_holes_either(fps: int) -> None:
    script = Script((Scene("", "card"),), fps=Fraction(fps), width=128, height=128)
    stage = stage_of(Cards(), script=script)

    async def act() -> AsyncGenerator[None, None]:
        for number in range(3):
            await asyncio.sleep(1.3)
            await stage.say(cue(number, 1.7))
        stage.interrupt()
        await asyncio.sleep(2)
        yield

    assert_no_holes(units_of(played(stage, act)), Fraction(fps))


@pytest.mark.parametrize("moment", [0, 5, 120, 250, 256, 300, 500])
@pytest.mark.parametrize("frames", [9, 60, 255, 700])
def test_a_sentence_can_be_moved_to_where_idle_pieces_begin(moment: int, frames: int) -> None:
    swing = Swing(8)
    end = swing.after(moment, frames)
    MotionPath(moment, end, frames)
    assert end % 8 == 0 and end >= 0
    while end > swing.last:
        end = swing.on(end, upwards=True)
    seen = [end]
    upwards = True
    for _ in range(200):
        following = swing.on(seen[-1], upwards=upwards)
        MotionPath(seen[-1], following, 8)
        upwards = following > seen[-1]
        seen.append(following)
    assert set(seen) == set(range(0, 257, 8))
