"""Ends tasks for certain."""

from __future__ import annotations

import asyncio
from typing import Any

_AGAIN_AFTER_S = 2.0


async def end_tasks(*tasks: asyncio.Future[Any]) -> None:
    """Cancel `tasks` and return when all have ended; what they raise is dropped.

    Until Python 3.12 `asyncio.wait_for` swallows a cancellation that comes in the moment in which it has its
    result, so one that goes on is cancelled again.
    """
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=_AGAIN_AFTER_S)
    await asyncio.gather(*tasks, return_exceptions=True)
