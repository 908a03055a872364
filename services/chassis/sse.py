"""Server-sent events."""

from __future__ import annotations

import json

SSE_MEDIA_TYPE = "text/event-stream"


def event(name: str, data: object) -> bytes:
    """Return an event with a name."""
    return f"event: {name}\n".encode() + message(data)


def message(data: object) -> bytes:
    """Return an event without a name."""
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()
