"""`python -m services.gateway`: the gateway alone."""

from __future__ import annotations

from services.chassis.server import run_service
from services.gateway.app import create_app
from services.gateway.settings import GatewaySettings

if __name__ == "__main__":
    settings = GatewaySettings()
    run_service(create_app(settings), settings)
