"""The app factory: what makes a FastAPI app one of ours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from fastapi import APIRouter, FastAPI
from fastapi.responses import Response

from services.chassis.middleware import BodyLimitMiddleware, RequestIdMiddleware
from services.chassis.problems import install_problem_handlers
from services.chassis.settings import ServiceSettings
from services.contract.errors import ServiceError

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]
Check = Callable[[], Awaitable[None]]
"""Returns when all is well; raises the `ServiceError` that says what is not."""


async def _always() -> None:
    pass


def create_service_app(
    title: str,
    settings: ServiceSettings,
    *,
    lifespan: Lifespan,
    ready: Check,
    routers: list[APIRouter],
    alive: Check = _always,
) -> FastAPI:
    """Return an app with problems, request ids, a body limit and `/health/live` and `/health/ready`.

    `ready` raises while requests would not be served, `alive` when only starting the service again will help.
    """
    app = FastAPI(title=title, lifespan=lifespan)
    install_problem_handlers(app)
    app.add_middleware(BodyLimitMiddleware, max_body_bytes=settings.max_body_bytes)
    app.add_middleware(RequestIdMiddleware)
    app.include_router(_health_router(ready, alive))
    for router in routers:
        app.include_router(router)
    return app


def _health_router(ready: Check, alive: Check) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/health/live")
    async def is_alive(response: Response) -> dict[str, str]:
        """Answer 200 as long as the process turns its event loop and its work moves on."""
        return await _told(alive, response)

    @router.get("/health/ready")
    async def is_ready(response: Response) -> dict[str, str]:
        """Answer 200 when a request would be served, 503 with the reason otherwise."""
        return await _told(ready, response)

    return router


async def _told(check: Check, response: Response) -> dict[str, str]:
    try:
        await check()
    except ServiceError as error:
        response.status_code = 503
        return {"status": "unavailable", "reason": error.detail}
    return {"status": "ok"}
