"""How avatars move through a film, so that an edited sentence leaves the ones after it as they were.

An avatar moves on from sentence to sentence, at its own pace, and each sentence is rendered and cached with
the moments of that motion it begins and ends with. A sentence that lasts longer than before would shift all
that follow. So the moments of what was filmed before are remembered, and a sentence that is new goes from
where it begins to where the next one that is known began: a little faster or slower than by itself, or forth
and back. What follows is found in the cache, whatever its place in the new film.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from pydantic import BaseModel, ValidationError

from services.chassis.cache.levels import Cache
from services.gateway.lines import Line
from services.gateway.script import Scene, Script

_MOTION = "video:motion:"
_FORMAT = 1
_FASTEST = 1.5
_REACH_FRAMES = 250
"""Further away than this from where it would end by itself, nothing is sought."""


class Motion(BaseModel):
    """The moments a sentence begins and ends with, and how long it takes between them."""

    start: int
    end: int
    frames: int


@dataclass(frozen=True)
class Motions:
    """The motions of the sentences of one scene, as far as they were filmed before."""

    cache: Cache | None
    keys: Sequence[str]
    known: Sequence[Motion | None]

    def first(self, frame: int) -> int:
        """Return the moment a scene begins with that begins in `frame` of its film: a cut may jump anywhere."""
        return frame if not self.known or self.known[0] is None else self.known[0].start

    async def plan(self, index: int, start: int, frames: int) -> Motion:
        """Return the motion of a sentence that begins with moment `start` and lasts `frames`, and remember it."""
        motion = self._planned(index, start, frames)
        if self.cache is not None and motion != self.known[index]:
            await self.cache.put(self.keys[index], motion.model_dump_json().encode())
        return motion

    def _planned(self, index: int, start: int, frames: int) -> Motion:
        own = self.known[index]
        following = self.known[index + 1] if index + 1 < len(self.known) else None
        if following is not None:
            if abs(following.start - (start + frames)) <= _REACH_FRAMES:
                span = min(max(following.start - start, -frames), int(_FASTEST * frames))
                return Motion(start=start, end=start + span, frames=frames)
        elif own is not None and (own.start, own.frames) == (start, frames):
            return own
        return Motion(start=start, end=start + frames, frames=frames)


async def remembered_motions(cache: Cache | None, script: Script, scene: Scene, lines: Sequence[Line]) -> Motions:
    """Return what is known of the motions of `lines`; nothing without a cache."""
    keys = _keys(script, scene, lines)
    if cache is None:
        return Motions(None, keys, [None] * len(keys))
    kept = await cache.get_many(keys)
    return Motions(cache, keys, [_read(value) for value in kept])


def _keys(script: Script, scene: Scene, lines: Sequence[Line]) -> list[str]:
    """Return a key for each of `lines`; of equal lines each has its own."""
    film = [_FORMAT, scene.avatar, scene.background, scene.manner.model_dump(mode="json"), script.language]
    film += [str(script.fps), script.width, script.height, script.frame_skip]
    seen: Counter[Line] = Counter()
    keys: list[str] = []
    for line in lines:
        seen[line] += 1
        told = json.dumps([*film, asdict(line), seen[line]], sort_keys=True)
        keys.append(_MOTION + hashlib.sha256(told.encode()).hexdigest())
    return keys


def _read(kept: bytes | None) -> Motion | None:
    try:
        return None if kept is None else Motion.model_validate_json(kept)
    except ValidationError:
        return None
