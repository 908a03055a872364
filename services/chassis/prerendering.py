"""Makes common results before anybody asks for them, so that they are served from the cache at once."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from services.contract.errors import ServiceError

_log = logging.getLogger(__name__)

T = TypeVar("T")


async def prerender(phrases: Sequence[T], make: Callable[[T], Awaitable[None]]) -> None:
    """Make `phrases`, one after the other; one that fails is told and left out."""
    for number, phrase in enumerate(phrases, 1):
        try:
            await make(phrase)
        except ServiceError as error:
            _log.warning("Not prerendered (%d/%d): %s", number, len(phrases), error.detail)
        else:
            _log.info("Prerendered (%d/%d)", number, len(phrases))
    _log.info("Prerendering completed")
