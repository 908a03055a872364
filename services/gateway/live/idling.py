"""Where an avatar is in its idle motion, and the pieces by which it goes on from there without a word."""

from __future__ import annotations

import asyncio
import logging

from services.contract.errors import ServiceError
from services.gateway.calling import PATIENCE_S
from services.gateway.live.film import piece_frames
from services.gateway.live.rest import Rest, RestingPiece, Swing
from services.gateway.script import Script

_log = logging.getLogger(__name__)

_AGAIN_AFTER_S = 0.5
"""For idle pieces, without which the film cannot go on."""


class Idling:
    """The idle motion of one film. Moments are frames of the avatar's motion."""

    def __init__(self, rest: Rest, script: Script, look: str) -> None:
        """`look` changes with all that is seen."""
        self._rest = rest
        self._script = script
        self._look = look
        self._swing = Swing(piece_frames(script.fps))
        self._upwards = True
        self.moment = 0
        """The pose at which the film has arrived."""

    @property
    def piece_frames(self) -> int:
        """Frames of an idle piece."""
        return self._swing.piece

    @property
    def following(self) -> int:
        """The moment that the next piece leads to."""
        return self._swing.on(self.moment, upwards=self._upwards)

    def after(self, moment: int, frames: int) -> int:
        """Return the moment that a sentence of `frames` frames leads to from `moment`."""
        return self._swing.after(moment, frames)

    def go_to(self, moment: int, *, upwards: bool | None = None) -> None:
        """Say that the film has arrived at `moment`; which way it swings on is told, or as it came."""
        came = moment > self.moment or (moment == self.moment and self._upwards)
        self._upwards = came if upwards is None else upwards
        self.moment = moment

    def prepare_all(self) -> None:
        """Have the whole swing rendered, slowly."""
        self._rest.prepare_all(self._script, self._look)

    def prepare(self, after: int | None = None) -> None:
        """Have the piece rendered that goes on from here, or from moment `after` when a sentence ends there."""
        start, end = (self.moment, self.following) if after is None else (after, self._swing.on(after, upwards=True))
        self._rest.prepare(self._script, self._look, start, end)

    def prepare_hold(self, moment: int) -> None:
        """Have a piece rendered that leads from `moment` back to it."""
        self._rest.prepare(self._script, self._look, moment, moment)

    async def piece(self, start: int, end: int) -> RestingPiece:
        """Return the piece that leads from moment `start` to `end`.

        Raises whatever the avatar service refuses, a passing refusal only when it lasts.
        """
        patient_until_s = asyncio.get_running_loop().time() + PATIENCE_S
        while True:
            try:
                return await self._rest.piece(self._script, self._look, start, end)
            except ServiceError as error:
                if not error.retryable or asyncio.get_running_loop().time() > patient_until_s:
                    raise
                _log.warning("an idle piece is asked for again: %s", error.detail)
                await asyncio.sleep(_AGAIN_AFTER_S)
