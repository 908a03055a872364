"""The one place where errors become HTTP answers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from services.chassis.logs import request_id
from services.contract.errors import (
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    ServiceError,
    UnsupportedMedia,
    problem_of,
)

_log = logging.getLogger(__name__)

REQUEST_ID_HEADER = "X-Request-ID"
PROBLEM_MEDIA_TYPE = "application/problem+json"


def problem_response(error: ServiceError, path: str) -> Response:
    """Return `error` as an RFC 9457 answer."""
    problem = problem_of(error, instance=path, request_id=request_id.get())
    headers = {REQUEST_ID_HEADER: request_id.get()}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    return Response(problem.model_dump_json(), error.status, headers, media_type=PROBLEM_MEDIA_TYPE)


def invalid_request_of(errors: Sequence[Any]) -> InvalidRequest:
    """Return the first of pydantic's `errors` as a sentence that names the field."""
    first = errors[0]
    field = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path", "form"))
    reason = str(first["msg"]).removeprefix("Value error, ")
    return InvalidRequest(f"{field or 'body'}: {reason}.".replace("..", "."), param=field or None)


def install_problem_handlers(app: FastAPI) -> None:
    """Make every error of `app` a problem document."""

    async def on_service_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, ServiceError)
        if error.status >= 500:
            _log.warning("%s: %s", error.code, error.detail)
        return problem_response(error, request.url.path)

    async def on_validation_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return problem_response(invalid_request_of(error.errors()), request.url.path)

    async def on_http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return problem_response(_of_http(error, request), request.url.path)

    async def on_bug(request: Request, error: Exception) -> Response:
        # The server logs the traceback: the exception goes on to it after this answer.
        return problem_response(ServiceError("Something broke on our side; the log has the details."), request.url.path)

    app.add_exception_handler(ServiceError, on_service_error)
    app.add_exception_handler(RequestValidationError, on_validation_error)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(Exception, on_bug)


def _of_http(error: HTTPException, request: Request) -> ServiceError:
    if error.status_code == 404:
        return NotFound(f"There is nothing at {request.url.path}; /docs lists what there is.")
    if error.status_code == 405:
        return MethodNotAllowed(f"{request.method} is not possible on {request.url.path}; see /docs.")
    if error.status_code == 415:
        return UnsupportedMedia(str(error.detail))
    if error.status_code < 500:
        return InvalidRequest(str(error.detail))
    return ServiceError(str(error.detail))
