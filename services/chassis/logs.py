"""Logging: one line per event, each with the id of the request it belongs to."""

from __future__ import annotations

import logging
from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("request_id", default="-")
"""Id of the request this task works for."""


class _RequestIdFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return True


class _RefusalFilter(logging.Filter):
    """Drops what uvicorn says of every WebSocket that was refused with an answer, as if that were a fault."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "without completing handshake" not in record.getMessage()


def configure_logging(level: str) -> None:
    """Send the log to stderr. Called once by each entry point, never at import."""
    handler = logging.StreamHandler()
    handler.addFilter(_RequestIdFilter())
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("uvicorn.error").addFilter(_RefusalFilter())
    logging.getLogger("httpx").setLevel(logging.WARNING)
