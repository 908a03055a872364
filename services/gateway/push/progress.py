"""How far one transfer is, for who follows it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

from services.contract.errors import ServiceError
from services.contract.push import PushError, PushState

_log = logging.getLogger(__name__)

_HEARTBEAT_S = 15.0


class Progress:
    """Is told what happens to a transfer, counts it, and logs it with the time since the request."""

    def __init__(self, request_id: str) -> None:
        self._state = PushState(request_id=request_id, status="queued")
        self._began = time.monotonic()
        self._news = asyncio.Event()
        self.error: ServiceError | None = None
        """Why it failed."""

    @property
    def state(self) -> PushState:
        """How far it is now."""
        return self._state

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        return self._state.success is not None

    @property
    def since_s(self) -> float:
        """Seconds since the request."""
        return time.monotonic() - self._began

    def note(self, event: str, **changes: object) -> None:
        """Log an event, and take its changes into the state."""
        _log.info("push %s +%.3f s: %s", self._state.request_id, self.since_s, event)
        self.change(**changes)

    def change(self, **changes: object) -> None:
        """Change fields of the state, and wake who follows it."""
        self._state = self._state.model_copy(update=changes)
        told, self._news = self._news, asyncio.Event()
        told.set()

    def complete(self) -> None:
        """Say that all was delivered."""
        seconds = round(self.since_s, 3)
        self.note("all done", status="completed", success=True, transfer_seconds=seconds)

    def fail(self, error: ServiceError) -> None:
        """Say that it ended before that."""
        self.error = error
        told = PushError(code=error.code, message=error.detail)
        seconds = round(self.since_s, 3)
        self.note(f"failed: {error.detail}", status="failed", success=False, error=told, transfer_seconds=seconds)

    async def ended(self) -> None:
        """Return once it is over."""
        async with aclosing(self.follow()) as states:
            async for _ in states:
                pass

    async def follow(self) -> AsyncGenerator[PushState | None, None]:
        """Yield the state now and whenever it has changed, up to the last; None where nothing happens for long.

        Who is slow gets the newest state, and misses some in between.
        """
        while True:
            state, news = self._state, self._news
            yield state
            if state.success is not None:
                return
            while not news.is_set():
                try:
                    await asyncio.wait_for(news.wait(), _HEARTBEAT_S)
                except asyncio.TimeoutError:
                    yield None
