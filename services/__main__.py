"""`python -m services`: the whole stack in one process, settings from the environment."""

from __future__ import annotations

import asyncio

from services.chassis.logs import configure_logging
from services.gateway.settings import GatewaySettings
from services.stack import run_until_signal

if __name__ == "__main__":
    settings = GatewaySettings()
    configure_logging(settings.log_level)
    asyncio.run(run_until_signal(settings))
