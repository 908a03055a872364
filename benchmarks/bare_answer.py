"""The least that answers from Redis, to hold the gateway against: `python -m benchmarks.bare_answer`."""

from __future__ import annotations

import redis.asyncio as redis
from fastapi import FastAPI, Response
from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.chassis.server import run_service
from services.chassis.settings import ServiceSettings


class BareSettings(ServiceSettings):
    """Where it listens, and where the answers are."""

    model_config = SettingsConfigDict(env_prefix="BARE_")

    redis_url: str = Field(validation_alias="REDIS_URL")


def create_app(settings: BareSettings) -> FastAPI:
    """Return an app that reads one key and answers with what is there."""
    app, kept = FastAPI(), redis.Redis.from_url(settings.redis_url)

    @app.get("/answer")
    async def answer(key: str) -> Response:
        return Response(await kept.get(key))

    @app.get("/health/ready")
    async def ready() -> None:
        return None

    return app


if __name__ == "__main__":
    bare_settings = BareSettings()
    run_service(create_app(bare_settings), bare_settings)
