"""Whatever fails, NewAvata's clients look for `success` and `error`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from services.contract.errors import ServiceError
from services.contract.newavata import Failed

_log = logging.getLogger(__name__)

_STATUSES = (400, 404, 500, 503)
"""NewAvata knows these only."""

FAILURES: dict[int | str, dict[str, Any]] = {status: {"model": Failed} for status in _STATUSES}


class NewAvataRoute(APIRoute):
    """Tells errors as NewAvata tells its own."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        handle = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await handle(request)
            except ServiceError as error:
                return _failed(error)

        return answered


def _failed(error: ServiceError) -> Response:
    if error.status >= 500:
        _log.warning("%s: %s", error.code, error.detail)
    known = error.status if error.status in _STATUSES else 400 if error.status < 500 else 500
    headers = {} if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
    return JSONResponse(Failed(error=error.detail).model_dump(), known, headers)
