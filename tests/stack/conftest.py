"""Stacks that tests of several files look at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.processes import running_stack


@pytest.fixture(scope="package")
def strict() -> Iterator[str]:
    """URL of a stack that has little patience with live sessions."""
    limits = {"GATEWAY_LIVE_SILENCE_S": "1", "GATEWAY_LIVE_STALLED_S": "1", "GATEWAY_LIVE_SESSIONS": "20"}
    limits["GATEWAY_LIVE_ORIGINS"] = '["https://Friend.example"]'
    with running_stack(environment=limits) as url:
        yield url
