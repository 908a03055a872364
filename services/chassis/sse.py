"""Server-sent events."""

from __future__ import annotations

import json

SSE_MEDIA_TYPE = "text/event-stream"


HEARTBEAT = b": still here\n\n"
"""A comment, for connections on which nothing happens for long."""


def event(name: str, data: object, event_id: str = "") -> bytes:
    """Return an event with a name, and an id by which a client resumes."""
    named = f"id: {event_id}\n" if event_id else ""
    return f"{named}event: {name}\n".encode() + message(data)


def message(data: object) -> bytes:
    """Return an event without a name."""
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()
