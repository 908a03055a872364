"""From a script to sentences that are spoken, each in its place of the film."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from anyio import to_thread

from services.chassis.cache.levels import Cache
from services.contract.errors import InvalidRequest
from services.contract.speech import AudioChunk, join_chunks
from services.contract.video import FILM_SAMPLE_RATE_HZ, Timeline
from services.gateway.ahead import side_by_side
from services.gateway.calling import PATIENCE_S
from services.gateway.clients import SpeechAnswer, TtsClient
from services.gateway.languages import Languages
from services.gateway.lines import Line, lines_of
from services.gateway.motions import Motion, remembered_motions
from services.gateway.reader import Reader
from services.gateway.script import Scene, Script
from services.gateway.utterance import FIRST_LEAD_S, LAST_PAUSE_S, LEAD_S, lay_out


@dataclass(frozen=True)
class SentenceSpoken:
    """Sentence `index` of `total` is spoken and will fill `frames` frames from `first_frame` on."""

    index: int
    total: int
    first_frame: int
    frames: int
    answer: SpeechAnswer
    """Who speaks it, and in which language."""


@dataclass(frozen=True)
class Segment:
    """One sentence, spoken and laid out on the film's timeline."""

    spoken: SentenceSpoken
    speech: AudioChunk
    scene: Scene
    motion: Motion
    urgent: bool = False
    """Whether a film that is being watched cannot go on without it."""


@dataclass(frozen=True)
class _Part:
    """A scene cut into lines."""

    scene: Scene
    lines: Sequence[Line]


@dataclass(frozen=True)
class _Spoken:
    """A line, spoken."""

    line: Line
    speech: AudioChunk
    answer: SpeechAnswer


async def lay_down(
    tts: TtsClient, script: Script, cache: Cache | None = None, *, at_once: int = 1, patience_s: float = 0.0
) -> AsyncGenerator[Segment, None]:
    """Yield the sentences of `script`, each spoken and in its place; `at_once` of them are spoken side by side.

    `patience_s` is how long it waits for a lane before its first sentence.
    Raises `InvalidRequest` for a scene without words, and whatever the tts service refuses.
    """
    parts = await to_thread.run_sync(_parts, script)
    total = sum(len(part.lines) for part in parts)
    timeline, index, frame = Timeline(script.fps), 0, 0
    for part in parts:
        motions = await remembered_motions(cache if script.use_cache else None, script, part.scene, part.lines)
        moment = motions.first(frame)
        spoken = _speak(tts, script, part, at_once, PATIENCE_S if index else patience_s)
        async with aclosing(spoken):
            number = 0
            async for one in spoken:
                lead_s = (LEAD_S if index else FIRST_LEAD_S) + one.line.lead_s
                pause_s = LAST_PAUSE_S + part.scene.pause_s if index == total - 1 else one.line.pause_s
                speech = lay_out(one.speech, timeline, frame, lead_s=lead_s, pause_s=pause_s)
                frames = timeline.frames_to_hold(frame, speech.samples)
                motion = await motions.plan(number, moment, frames)
                yield Segment(SentenceSpoken(index, total, frame, frames, one.answer), speech, part.scene, motion)
                index, number, frame, moment = index + 1, number + 1, frame + frames, motion.end


def _parts(script: Script) -> list[_Part]:
    parts: list[_Part] = []
    for scene in script.scenes:
        lines = lines_of(scene.text, script.language)
        if not lines:
            raise InvalidRequest("text: there is nothing to say; send at least one word.", param="text")
        lines[-1] = replace(lines[-1], pause_s=lines[-1].pause_s + scene.pause_s)
        parts.append(_Part(scene, lines))
    return parts


async def _speak(
    tts: TtsClient, script: Script, part: _Part, at_once: int, patience_s: float
) -> AsyncGenerator[_Spoken, None]:
    """Yield the lines of a scene as they are spoken, in order."""
    update = {"sample_rate_hz": FILM_SAMPLE_RATE_HZ, "live": False, "use_cache": script.use_cache}
    manner = part.scene.manner.model_copy(update=update)
    reader = Reader(tts, manner, Languages(script.language, part.scene.text))

    async def spoken(number: int, line: Line) -> AsyncGenerator[_Spoken, None]:
        async with reader.speak(number, line, PATIENCE_S if number or at_once > 1 else patience_s) as answer:
            speech = join_chunks([chunk async for chunk in answer.chunks])
        yield _Spoken(line, speech, answer)

    async def sources() -> AsyncGenerator[AsyncGenerator[_Spoken, None], None]:
        for number, line in enumerate(part.lines):
            yield spoken(number, line)

    async with aclosing(side_by_side(sources(), at_once, 1)) as lines:
        async for line in lines:
            yield line
