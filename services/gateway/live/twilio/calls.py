"""The calls that go on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from services.contract.errors import Conflict, NotFound
from services.gateway.live.twilio.call import Call

_log = logging.getLogger(__name__)


class Calls:
    """Finds calls by their stream's SID, or the name that their TwiML gave them."""

    def __init__(self) -> None:
        self._calls: dict[str, Call] = {}

    @contextmanager
    def going_on(self, call: Call) -> Iterator[None]:
        """Let a call be found while the block lasts. Of two with the same name, the earlier one has it."""
        sid, name = call.start.stream_sid, call.start.custom_parameters.get("name", "")
        if sid in self._calls:
            raise Conflict(f"The stream {sid} goes on already.")
        self._calls[sid] = call
        if name in self._calls:
            _log.warning("call %s: another one is called %r; applications find this one by its SID", sid, name)
        elif name:
            self._calls[name] = call
        try:
            yield
        finally:
            self._calls = {known: one for known, one in self._calls.items() if one is not call}

    def find(self, name: str) -> Call:
        """Return a call; raises `NotFound`."""
        if name not in self._calls:
            raise NotFound(f"No call {name!r} goes on here; it is found once Twilio has started its stream.")
        return self._calls[name]
