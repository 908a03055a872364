"""One tree of errors, and the problem document every service answers with (RFC 9457).

An error says what went wrong *and* what to do about it, in one sentence for a person.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel


class ServiceError(Exception):
    """Anything a service refuses or fails to do, with the HTTP status it is told by.

    `detail` is a sentence for a person; `param` names the field at fault;
    `retry_after_s` becomes the `Retry-After` header.
    """

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    title: ClassVar[str] = "Internal error"
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str, *, param: str | None = None, retry_after_s: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.param = param
        self.retry_after_s = retry_after_s


class InvalidRequest(ServiceError):
    """A value the service understands but cannot accept."""

    code = "invalid_request"
    status = 422
    title = "Invalid request"


class NotFound(ServiceError):
    """A voice, avatar or path that does not exist."""

    code = "not_found"
    status = 404
    title = "Not found"


class Forbidden(ServiceError):
    """Something that whoever asks may not do."""

    code = "forbidden"
    status = 403
    title = "Forbidden"


class MethodNotAllowed(ServiceError):
    """A known path asked with another verb."""

    code = "method_not_allowed"
    status = 405
    title = "Method not allowed"


class NameTaken(ServiceError):
    """Something of this name exists already."""

    code = "name_taken"
    status = 409
    title = "Name already taken"


class TooLarge(ServiceError):
    """A body or text over the limit; nothing was kept of it."""

    code = "too_large"
    status = 413
    title = "Too large"


class UnsupportedMedia(ServiceError):
    """A body in a format the service cannot read."""

    code = "unsupported_media"
    status = 415
    title = "Unsupported media"


class UnsuitableFace(ServiceError):
    """A picture that cannot be animated: no face, several faces, or one too small."""

    code = "unsuitable_face"
    status = 422
    title = "Unsuitable face"


class Conflict(ServiceError):
    """Something is in a state that does not allow it, now."""

    code = "conflict"
    status = 409
    title = "Conflict"


class TooManyRequests(ServiceError):
    """One client has as much under way as one may have."""

    code = "too_many_requests"
    status = 429
    title = "Too many requests"
    retryable = True


class AtCapacity(ServiceError):
    """Every lane is busy and the waiting room is full; no work was done."""

    code = "at_capacity"
    status = 503
    title = "At capacity"
    retryable = True


class Cancelled(ServiceError):
    """Work that somebody called off."""

    code = "cancelled"
    status = 409
    title = "Cancelled"


class Unavailable(ServiceError):
    """A service or feature that is switched off, away, or not installed."""

    code = "unavailable"
    status = 503
    title = "Unavailable"
    retryable = True


class EngineFailed(ServiceError):
    """An engine broke while working on this request; the next request gets a working one."""

    code = "engine_failed"
    status = 500
    title = "Engine failed"
    retryable = True


class OpenAIError(BaseModel):
    """The error object OpenAI clients look for."""

    message: str
    type: str
    param: str | None = None
    code: str


class Problem(BaseModel):
    """RFC 9457 problem document, with OpenAI's `error` object beside it."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    instance: str | None = None
    code: str
    param: str | None = None
    request_id: str | None = None
    retryable: bool = False
    error: OpenAIError


def problem_of(error: ServiceError, *, instance: str | None = None, request_id: str | None = None) -> Problem:
    """Return the document that tells `error` to a client."""
    kind = "invalid_request_error" if error.status < 500 else "server_error"
    kind = "rate_limit_error" if error.status == TooManyRequests.status else kind
    return Problem(
        title=error.title,
        status=error.status,
        detail=error.detail,
        instance=instance,
        code=error.code,
        param=error.param,
        request_id=request_id,
        retryable=error.retryable,
        error=OpenAIError(message=error.detail, type=kind, param=error.param, code=error.code),
    )


class RemoteError(ServiceError):
    """A problem another service answered with, passed on as it was told."""

    def __init__(self, problem: Problem, retry_after_s: int | None = None) -> None:
        super().__init__(problem.detail, param=problem.param, retry_after_s=retry_after_s)
        self.code = problem.code  # type: ignore[misc]
        self.status = problem.status  # type: ignore[misc]
        self.title = problem.title  # type: ignore[misc]
        self.retryable = problem.retryable  # type: ignore[misc]
