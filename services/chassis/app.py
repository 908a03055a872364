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
ReadyCheck = Callable[[], Awaitable[None]]
"""Returns when the service can work; raises the `ServiceError` that says why it cannot."""


def create_service_app(
    title: str, settings: ServiceSettings, *, lifespan: Lifespan, ready: ReadyCheck, routers: list[APIRouter]
) -> FastAPI:
    """Return an app with problems, request ids, a body limit and `/health/live` and `/health/ready`."""
    app = FastAPI(title=title, lifespan=lifespan)
    install_problem_handlers(app)
    app.add_middleware(BodyLimitMiddleware, max_body_bytes=settings.max_body_bytes)
    app.add_middleware(RequestIdMiddleware)
    app.include_router(_health_router(ready))
    for router in routers:
        app.include_router(router)
    return app


def _health_router(ready: ReadyCheck) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/health/live")
    async def live() -> dict[str, str]:
        """Answer as long as the process turns its event loop."""
        return {"status": "ok"}

    @router.get("/health/ready")
    async def is_ready(response: Response) -> dict[str, str]:
        """Answer 200 when a request would be served, 503 with the reason otherwise."""
        try:
            await ready()
        except ServiceError as error:
            response.status_code = 503
            return {"status": "unavailable", "reason": error.detail}
        return {"status": "ok"}

    return router
