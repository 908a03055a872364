"""Live films that others watch: what happens on a stage is handed on, and nobody who watches holds it up."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from services.contract.errors import NotFound
from services.contract.speech import SAMPLE_BYTES
from services.contract.video import FILM_SAMPLE_RATE_HZ
from services.gateway.live.film import Beginning
from services.gateway.live.stage import StageEvent, Unit
from services.gateway.live.webrtc.pictures import Picture, Pictures

WHEP_PATH = "/v1/video/whep"
"""Where films are watched over WebRTC."""

_MOST_WAITING_S = 1.5
"""Who is further behind loses what waits."""

_ENOUGH_WAITING_S = 0.3
"""Who is further behind catches up while the avatar rests."""

_ID_BYTES = 16


@dataclass(frozen=True)
class Clip:
    """A fragment as it is watched: its pictures, and its sound as 16-bit mono PCM at the film's rate."""

    pictures: Sequence[Picture]
    pcm: bytes
    rests: bool
    """Whether nobody speaks in it."""

    @property
    def starts_anew(self) -> bool:
        """Whether one can begin to watch with it."""
        return bool(self.pictures) and self.pictures[0].starts_anew

    @property
    def samples(self) -> int:
        """How long it lasts."""
        return len(self.pcm) // SAMPLE_BYTES

    @property
    def duration_s(self) -> float:
        """How long it lasts."""
        return self.samples / FILM_SAMPLE_RATE_HZ


class Watching:
    """What waits for one who watches. It begins with a keyframe, and goes on with one wherever some is left out."""

    def __init__(self) -> None:
        self._clips: deque[Clip] = deque()
        self._news = asyncio.Event()
        self._ended = False
        self._lost = True

    async def next(self) -> Clip | None:
        """Return the next clip; None once the film is over."""
        while not self._clips and not self._ended:
            self._news.clear()
            await self._news.wait()
        return self._clips.popleft() if self._clips else None

    def put(self, clip: Clip) -> None:
        """Take the next clip. This never waits: what is too much is left out."""
        if self._is_too_much(clip):
            self._clips.clear()
            self._lost = True
        if self._lost and not clip.starts_anew:
            return
        self._lost = False
        self._clips.append(clip)
        self._news.set()

    def end(self) -> None:
        """Say that the film is over."""
        self._ended = True
        self._news.set()

    def _is_too_much(self, clip: Clip) -> bool:
        """Whether what waits is to be left out, now that `clip` comes."""
        behind_s = sum(one.duration_s for one in self._clips)
        nothing_missed = clip.starts_anew and all(one.rests for one in self._clips)
        return behind_s > (_ENOUGH_WAITING_S if nothing_missed else _MOST_WAITING_S)


class Broadcast:
    """The film of one session, for all who watch it."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        self._pictures: Pictures | None = None
        self._watching: set[Watching] = set()
        self.over = False

    def told(self) -> dict[str, object]:
        """Return the event that tells the client of the session what it is called, and where it can be watched."""
        told: dict[str, object] = {"type": "session.created", "session_id": self.session_id}
        return told if self.over else told | {"whep_url": f"{WHEP_PATH}?session={self.session_id}"}

    def publish(self, event: StageEvent) -> None:
        """Hand on what happens on the stage; raises `EngineFailed` for a film without pictures."""
        if isinstance(event, Beginning):
            self._pictures = Pictures(event.boxes)
        elif isinstance(event, Unit) and self._watching and self._pictures is not None:
            clip = Clip(self._pictures.of(event.data), event.pcm, event.cue is None)
            for one in self._watching:
                one.put(clip)

    @contextmanager
    def watched(self) -> Iterator[Watching]:
        """Give what happens from now on, while the block lasts."""
        watching = Watching()
        self._watching.add(watching)
        if self.over:
            watching.end()
        try:
            yield watching
        finally:
            self._watching.discard(watching)

    def end(self) -> None:
        """Say that there is nothing more to watch."""
        self.over = True
        for one in self._watching:
            one.end()


class Broadcasts:
    """The live films of this process, by the id of their session. Who knows the id may watch."""

    def __init__(self) -> None:
        self._live: dict[str, Broadcast] = {}

    @contextmanager
    def open(self) -> Iterator[Broadcast]:
        """Give a new one, which is over when the block ends."""
        broadcast = Broadcast(f"live_{secrets.token_urlsafe(_ID_BYTES)}")
        self._live[broadcast.session_id] = broadcast
        try:
            yield broadcast
        finally:
            del self._live[broadcast.session_id]
            broadcast.end()

    def find(self, session_id: str) -> Broadcast:
        """Return the film of a session; raises `NotFound`."""
        broadcast = self._live.get(session_id)
        if broadcast is None or broadcast.over:
            raise NotFound("There is no such live session here, or it is over.", param="session")
        return broadcast
