"""Which web pages may open sockets: browsers let any page do so, and tell the server only where it came from."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import WebSocket

from services.contract.errors import Forbidden

_ANY = "*"


class Pages:
    """Those that the gateway serves itself, and those of `origins`: `https://example.com`, or `*` for all."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._origins = frozenset(origin.rstrip("/").lower() for origin in origins)

    def check(self, websocket: WebSocket) -> None:
        """Raise `Forbidden` for another page. What tells no origin is no browser."""
        origin = websocket.headers.get("origin", "").lower()
        if not origin or not self._origins.isdisjoint({origin, _ANY}):
            return
        if origin.partition("://")[2] != websocket.headers.get("host", "").lower():
            raise Forbidden(f"Pages of {origin} may open no socket here; GATEWAY_LIVE_ORIGINS names those that may.")
