"""The running product, shared by all tests that only look at it from outside."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.processes import running_stack
from tests.qwen3 import TinyQwen


@pytest.fixture(scope="session", autouse=True)
def session_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what the session's processes cache out of the checkout."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test find what another one cached."""
    monkeypatch.setenv("CACHE_DIR", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session")
def stack() -> Iterator[str]:
    """URL of the whole product in a process of its own."""
    with running_stack() as url:
        yield url


@pytest.fixture(scope="session")
def tiny_qwen(tmp_path_factory: pytest.TempPathFactory) -> TinyQwen:
    """Tiny Qwen3-TTS checkpoints."""
    return TinyQwen.build(tmp_path_factory.mktemp("qwen3"))


@pytest.fixture
def client(stack: str) -> Iterator[httpx.Client]:
    """A client of it."""
    with httpx.Client(base_url=stack, timeout=60) as client:
        yield client
