"""Room for live sessions, and what is counted of them for Prometheus."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager

from fastapi import WebSocket
from prometheus_client import CollectorRegistry, Counter, Gauge

from services.chassis.problems import problem_response
from services.contract.errors import AtCapacity, Forbidden
from services.gateway.live.pages import Pages

_AGAIN_IN_S = 5


class Seats:
    """Room for so many sessions: who finds none is told before the connection is made."""

    def __init__(self, most: int, pages: Pages, registry: CollectorRegistry) -> None:
        self._most = most
        self._pages = pages
        self._taken = 0
        self._sessions = Gauge("talkie_live_sessions", "Live sessions that are open.", registry=registry)
        self._refused = Counter("talkie_live_refused", "Connections for which there was no room.", registry=registry)
        self._fragments = Counter("talkie_live_fragments", "Fragments of live films.", registry=registry)
        self._late = Counter("talkie_live_late_fragments", "Those that missed their time.", registry=registry)

    @contextmanager
    def seat(self) -> Iterator[None]:
        """Hold a seat while the block lasts; raises `AtCapacity`."""
        if self._taken >= self._most:
            self._refused.inc()
            raise AtCapacity("All live sessions are taken; try again shortly.", retry_after_s=_AGAIN_IN_S)
        self._taken += 1
        self._sessions.inc()
        try:
            yield
        finally:
            self._taken -= 1
            self._sessions.dec()

    @asynccontextmanager
    async def taken(self, websocket: WebSocket) -> AsyncIterator[bool]:
        """Accept a connection while the block lasts; give False where it was refused: no room, or a strange page."""
        with ExitStack() as seated:
            try:
                self._pages.check(websocket)
                seated.enter_context(self.seat())
            except (AtCapacity, Forbidden) as error:
                await websocket.send_denial_response(problem_response(error, websocket.url.path))
                yield False
                return
            await websocket.accept()
            yield True

    def shown(self, late_s: float) -> None:
        """Count a fragment of film, which missed its time by so much."""
        self._fragments.inc()
        if late_s > 0:
            self._late.inc()
