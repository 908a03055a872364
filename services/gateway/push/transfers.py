"""The transfers under way, and for a while those that are over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

from cachetools import TTLCache
from prometheus_client import CollectorRegistry

from services.contract.errors import AtCapacity, Cancelled, Conflict, NotFound, ServiceError, Unavailable
from services.gateway.narration import Narration, Piece
from services.gateway.push.delivery import Delivery
from services.gateway.push.messages import Session
from services.gateway.push.metrics import PushMetrics
from services.gateway.push.progress import Progress
from services.gateway.push.target import Target
from services.gateway.settings import GatewaySettings

_MOST_KEPT = 10_000
_RETRY_AFTER_S = 2

Speak = Callable[[Narration], AsyncGenerator[Piece, None]]


class Transfers:
    """Some transfers at once, some more in a queue; the rest is refused."""

    def __init__(self, settings: GatewaySettings, speak: Speak, registry: CollectorRegistry) -> None:
        self._settings = settings
        self._speak = speak
        self._metrics = PushMetrics(registry)
        self._target = Target(settings)
        self._free = asyncio.Semaphore(settings.push_at_once)
        self._open: dict[str, tuple[Progress, asyncio.Task[None]]] = {}
        self._over: TTLCache[str, Progress] = TTLCache(_MOST_KEPT, settings.push_kept_s)

    def begin(self, session: Session, narration: Narration) -> Progress:
        """Have it spoken and pushed in the background.

        Raises `Unavailable` where no server is configured, `Conflict` while there is a transfer of the
        same request, `TooLarge` where the text does not fit into a message, and `AtCapacity`.
        """
        if not self._settings.push_websocket_url:
            raise Unavailable(
                "No server is configured to push to; set ORASERVER_WEBSOCKET_URL, or send use_websocket=false."
            )
        if session.request_id in self._open:
            raise Conflict(
                f"requestId: {session.request_id!r} is being transferred already; its state is below /api/convert-tts.",
                param="requestId",
            )
        if len(self._open) >= self._settings.push_at_once + self._settings.push_waiting:
            raise AtCapacity("Too many transfers are under way; try again later.", retry_after_s=_RETRY_AFTER_S)
        session.check()
        progress = Progress(session.request_id)
        self._over.pop(session.request_id, None)
        task = asyncio.create_task(self._run(session, narration, progress))
        self._open[session.request_id] = (progress, task)
        return progress

    def find(self, request_id: str) -> Progress:
        """Return how far a transfer is; raises `NotFound`."""
        if request_id in self._open:
            return self._open[request_id][0]
        if (progress := self._over.get(request_id)) is None:
            raise NotFound(f"There is no transfer {request_id!r}; it may be too long ago.", param="requestId")
        return progress

    async def aclose(self) -> None:
        """End the transfers under way, and close all connections."""
        tasks = [task for _, task in self._open.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._target.aclose()

    async def _run(self, session: Session, narration: Narration, progress: Progress) -> None:
        try:
            async with self._free:
                progress.note("begun", status="in_progress")
                await Delivery(self._settings, self._target, session, progress).run(self._speak(narration))
            progress.complete()
        except ServiceError as error:
            progress.fail(error)
        finally:
            if not progress.over:
                progress.fail(Cancelled("The transfer was ended before all was delivered; ask for it again."))
            self._metrics.ended(progress.state)
            del self._open[session.request_id]
            self._over[session.request_id] = progress
