"""A request to a replica and its answer, which can be broken off from outside."""

from __future__ import annotations

from collections.abc import Awaitable

import httpx
from anyio import CancelScope


class Exchange:
    """One of them; it counts as load of its replica as long as it lasts."""

    def __init__(self, *, trying: bool) -> None:
        self.trying = trying
        """Whether it finds out if a replica that had failed is back: one at a time does."""
        self._asking = CancelScope()
        self._answer: httpx.Response | None = None
        self._heard: int | None = None

    async def answer(self, asked: Awaitable[httpx.Response]) -> httpx.Response:
        """Return the answer when its head is there; raises `httpx.TransportError`, also where it is broken off."""
        with self._asking:
            self._answer = await asked
        if self._answer is None:
            raise httpx.ReadTimeout("Broken off: the replica hangs.")
        self.trying = False
        return self._answer

    def silent(self) -> bool:
        """Return whether nothing has come since this was called before, and something is still to come."""
        before, self._heard = self._heard, self._come
        return before == self._heard and not self._whole

    async def break_off(self) -> None:
        """End the wait for what is to come: it raises `httpx.TransportError`, wherever it is read."""
        if self._answer is None:
            self._asking.cancel()
        elif not self._whole:  # the connection of a whole one may be somebody else's already
            await self._answer.extensions["network_stream"].aclose()

    @property
    def _come(self) -> int:
        """Bytes that have come; less than none before the head."""
        return -1 if self._answer is None else self._answer.num_bytes_downloaded

    @property
    def _whole(self) -> bool:
        return self._answer is not None and self._answer.is_closed
