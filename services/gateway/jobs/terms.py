"""How long what is kept of jobs, and how their events are numbered: the same in every store."""

from __future__ import annotations

import re

HEARTBEAT_S = 15.0
"""Who follows a job hears something at least so often."""

KEY_KEPT_S = 24 * 3600
"""How long an idempotency key stands for its request."""

REPORT_KEPT_S = 10.0
"""How long a worker counts after it was last heard of."""

FIRST_GUESS_S = 10.0
"""How long a film takes, before any was made."""

WEIGHT_OF_LAST = 0.2

CLAIM_KEPT_S = 60
"""How long before its job is taken in: a gateway that dies meanwhile leaves the key free."""

EVENTS_KEPT_LONG = 100
"""Events of a job that are kept when it is over."""

MOST_EVENTS = 1_000
"""Events of one job that are kept; the oldest go."""

_EVENT_ID = re.compile(r"\d{1,15}-\d{1,15}")


def is_event_id(told: str) -> bool:
    """Whether this can be the id of an event."""
    return _EVENT_ID.fullmatch(told) is not None


def event_number(event_id: str) -> tuple[int, int]:
    """Return what the ids of a job's events are ordered by; that of no event comes before all."""
    if not event_id:
        return 0, 0
    first, second = event_id.split("-")
    return int(first), int(second)
