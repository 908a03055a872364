"""Runs what a command does."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

import typer

_SIGNAL_STATUS = 128
"""What shells add to the number of the signal that ended a program."""


def run_to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Run `work`; a signal cancels it, so that it gives back in order what it holds, and sets the exit status."""
    received: list[int] = []
    try:
        asyncio.run(_until_cancelled(work, received))
    except asyncio.CancelledError as error:
        raise typer.Exit(_SIGNAL_STATUS + received[0]) from error


async def _until_cancelled(work: Coroutine[Any, Any, None], received: list[int]) -> None:
    task = asyncio.create_task(work)

    def cancel(number: int) -> None:
        received.append(number)
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, cancel, number)
    await task
