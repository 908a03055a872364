"""Prometheus metrics of one app, at `/metrics`."""

from __future__ import annotations

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest


def metrics_router(registry: CollectorRegistry) -> APIRouter:
    """Return the route that tells what `registry` has counted."""
    router = APIRouter(tags=["health"])

    @router.get("/metrics")
    async def metrics() -> Response:
        """Tell the counters, for Prometheus."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return router
