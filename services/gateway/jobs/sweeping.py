"""Removes films whose time is over."""

from __future__ import annotations

import logging
import time

from anyio import to_thread

from services.gateway.jobs.shelf import FilmShelf
from services.gateway.jobs.store import JobStore

_log = logging.getLogger(__name__)


async def sweep(store: JobStore, shelf: FilmShelf) -> None:
    """Remove the jobs whose time is over with their films; a film that cannot be removed is tried again later."""
    for job_id in await store.expired(time.time()):
        try:
            await to_thread.run_sync(shelf.remove, job_id)
        except OSError as error:
            _log.warning("the film of %s cannot be removed: %s", job_id, error.strerror)
        else:
            await store.remove(job_id)
