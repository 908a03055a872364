"""The walk: text, sentences, speech, segments, in order.

A segment knows its own place: it is rendered by one stateless request that carries its first frame.
So while one is rendered the next is already spoken, several can be rendered side by side, and
streaming and batch are the same walk.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from fractions import Fraction

from anyio import to_thread

from services.chassis.fmp4 import BoxReader
from services.contract.errors import EngineFailed, InvalidRequest
from services.contract.speech import AUTO, AudioChunk, Manner, SpeechRequest, join_chunks
from services.contract.video import FILM_SAMPLE_RATE_HZ, LipSyncParams, Timeline
from services.gateway.ahead import Ahead, side_by_side
from services.gateway.clients import PATIENCE_S, AvatarClient, SpeechAnswer, TtsClient
from services.gateway.languages import Languages
from services.gateway.lines import lines_of
from services.gateway.utterance import FIRST_LEAD_S, LAST_PAUSE_S, LEAD_S, lay_out

_EVENTS_AHEAD = 256
"""More than one sentence makes: a segment rendered before its turn never waits for it."""


@dataclass(frozen=True)
class Script:
    """What is to be said, by whom, and what the film looks like."""

    text: str
    avatar: str
    language: str = AUTO
    manner: Manner = field(default_factory=Manner)
    fps: Fraction = Fraction(25)
    width: int = 512
    height: int = 512
    frame_skip: int = 1


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
class Fragment:
    """Bytes of the film, in order: the init box once, then the fragments of sentence `index`."""

    index: int
    data: bytes


FilmEvent = SentenceSpoken | Fragment


@dataclass(frozen=True)
class Segment:
    """One sentence, spoken and laid out on the film's timeline."""

    spoken: SentenceSpoken
    speech: AudioChunk


class FilmMaker:
    """Makes films with the two services.

    `look_ahead` sentences are spoken before they are rendered, `parallel_segments` rendered side by side.
    """

    def __init__(
        self, tts: TtsClient, avatar: AvatarClient, *, look_ahead: int = 2, parallel_segments: int = 1
    ) -> None:
        self._tts = tts
        self._avatar = avatar
        self._look_ahead = look_ahead
        self._parallel_segments = parallel_segments

    async def film(self, script: Script) -> AsyncGenerator[FilmEvent, None]:
        """Yield the film as it is made. Closing the generator stops both services.

        Raises `InvalidRequest` for text without words, and whatever the services refuse.
        """
        async with aclosing(self.render(script, self.speak(script))) as events:
            async for event in events:
                yield event

    def speak(self, script: Script) -> AsyncGenerator[Segment, None]:
        """Return the sentences of `script`, spoken as they are read, each in its place."""
        return segments_of(self._tts, script)

    async def render(
        self, script: Script, segments: AsyncGenerator[Segment, None], patience_s: float = 0.0
    ) -> AsyncGenerator[FilmEvent, None]:
        """Yield the film of sentences that are spoken already, or will be.

        `patience_s` is how long it waits for the avatar service to have room for the first one.
        """
        shots = side_by_side(self._shots(script, segments, patience_s), self._parallel_segments, _EVENTS_AHEAD)
        async with aclosing(shots):
            async for event in shots:
                yield event

    async def _shots(
        self, script: Script, segments: AsyncGenerator[Segment, None], patience_s: float
    ) -> AsyncGenerator[AsyncGenerator[FilmEvent, None], None]:
        async with aclosing(Ahead(segments, self._look_ahead)) as ahead:
            async for segment in ahead:
                yield self._shot(script, segment, PATIENCE_S if segment.spoken.index else patience_s)

    async def _shot(self, script: Script, segment: Segment, patience_s: float) -> AsyncGenerator[FilmEvent, None]:
        """Yield what one segment adds to the film."""
        yield segment.spoken
        params = LipSyncParams(
            avatar=script.avatar,
            first_frame=segment.spoken.first_frame,
            fps=script.fps,
            width=script.width,
            height=script.height,
            frame_skip=script.frame_skip,
        )
        boxes = BoxReader()
        async with self._avatar.lipsync(params, segment.speech, patience_s) as pieces:
            async for piece in pieces:
                wanted = [box.data for box in boxes.feed(piece) if segment.spoken.index == 0 or not box.is_init]
                if wanted:
                    yield Fragment(segment.spoken.index, b"".join(wanted))
        if not boxes.at_boundary:
            raise EngineFailed("The avatar service broke off in the middle of a fragment; try again.")


async def fragments_of(film: AsyncGenerator[FilmEvent, None]) -> AsyncGenerator[bytes, None]:
    """Yield the bytes of a film; closing this closes it."""
    async with aclosing(film):
        async for event in film:
            if isinstance(event, Fragment):
                yield event.data


async def segments_of(tts: TtsClient, script: Script) -> AsyncGenerator[Segment, None]:
    """Yield the sentences of `script`, each spoken and in its place."""
    lines = lines_of(script.text, script.language)
    if not lines:
        raise InvalidRequest("text: there is nothing to say; send at least one word.", param="text")
    timeline, languages = Timeline(script.fps), Languages(script.language, script.text)
    manner = script.manner.model_copy(update={"sample_rate_hz": FILM_SAMPLE_RATE_HZ, "live": False})
    frame = 0
    for index, line in enumerate(lines):
        reading = await to_thread.run_sync(languages.reading, line.text)
        request = line.request(manner, languages.of(line.text), reading)
        speech, answer = await _speak(tts, request, PATIENCE_S if index else 0.0)
        languages.settle(line.text, answer.language)
        last = index == len(lines) - 1
        laid = lay_out(
            speech,
            timeline,
            frame,
            lead_s=LEAD_S if index else FIRST_LEAD_S + line.lead_s,
            pause_s=LAST_PAUSE_S if last else line.pause_s,
        )
        frames = timeline.frames_to_hold(frame, laid.samples)
        yield Segment(SentenceSpoken(index, len(lines), frame, frames, answer), laid)
        frame += frames


async def _speak(tts: TtsClient, request: SpeechRequest, patience_s: float) -> tuple[AudioChunk, SpeechAnswer]:
    """Return the speech, and who speaks it."""
    async with tts.speak(request, patience_s) as answer:
        return join_chunks([chunk async for chunk in answer.chunks]), answer
