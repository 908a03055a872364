"""A sentence on its way to the stage: rendered for the place at which it is expected."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from services.contract.errors import EngineFailed
from services.contract.motion import MotionPath
from services.contract.speech import AudioChunk
from services.gateway.ahead import Ahead
from services.gateway.clients import SpeechAnswer
from services.gateway.laying import Segment
from services.gateway.lines import Line
from services.gateway.live.film import Beginning, Footage, footage
from services.gateway.pipeline import FilmMaker
from services.gateway.script import Script

_FOOTAGE_AHEAD = 256
"""More than one sentence makes: what is rendered never waits for the clock."""


@dataclass(frozen=True)
class Cue:
    """A sentence to be shown: its place among what is said, and its speech at the film's rate."""

    utterance: int
    index: int
    line: Line
    speech: AudioChunk
    answer: SpeechAnswer
    generation: int = 0
    """How often the session was interrupted before it."""


class Shot:
    """A sentence that is being rendered for the place at which it is expected; `tell` is set with each piece."""

    def __init__(self, films: FilmMaker, script: Script, cue: Cue, segment: Segment, tell: asyncio.Event) -> None:
        self.cue = cue
        self.segment = segment
        self.path = MotionPath(segment.motion.start, segment.motion.end, segment.motion.frames)
        self.first_frame = segment.spoken.first_frame
        self.frames = segment.spoken.frames
        self.shown_frames = 0
        self._tell = tell
        self._footage = Ahead(footage(films, script, segment), _FOOTAGE_AHEAD)
        self._coming = self._ask()

    @property
    def ready(self) -> bool:
        """Whether there is a piece to be taken, or never will be."""
        return self._coming.done()

    def take(self) -> Beginning | Footage | None:
        """Return the next piece, None after the last one; raises what rendering raises."""
        piece = self._coming.result()
        if piece is not None:
            self._coming = self._ask()
        elif not self.shown_frames:
            raise EngineFailed("The avatar service sent no film; try again.")
        return piece

    async def close(self) -> None:
        """Stop rendering it."""
        self._coming.cancel()
        await asyncio.gather(self._coming, return_exceptions=True)
        await self._footage.aclose()

    def _ask(self) -> asyncio.Future[Beginning | Footage | None]:
        asking = asyncio.ensure_future(anext(self._footage, None))
        asking.add_done_callback(lambda _: self._tell.set())
        return asking
