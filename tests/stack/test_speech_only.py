"""ENABLE_VIDEO=false: speech without anything that films need."""

from __future__ import annotations

import sys

import httpx

from tests.processes import running_stack

OF_FILMS_ONLY = ("services.avatar", "cv2", "PIL", "ai_edge_litert")
UP = f"""
import sys
sys.modules.update(dict.fromkeys({OF_FILMS_ONLY!r}))  # so that importing one fails
from services.cli.main import run
run("up", "--port", "0")
"""


def test_speech_is_up_where_nothing_of_films_is_installed() -> None:
    environment = {"ENABLE_VIDEO": "false", "GATEWAY_PRERENDER": '[{"text": "Welcome!"}]'}
    with running_stack(sys.executable, "-c", UP, environment=environment) as url, httpx.Client(base_url=url) as client:
        assert client.get("/health/ready").status_code == 200
        assert client.get("/health").json()["models_loaded"]
        assert client.post("/v1/audio/speech", json={"input": "Hello."}).status_code == 200
        for answer in (
            client.get("/video/avatars"),
            client.post("/video/generate", json={"text": "Hello."}),
            client.post("/v1/videos", json={"prompt": "Hello."}),
        ):
            assert answer.status_code == 503
            assert "ENABLE_VIDEO=false" in answer.json()["detail"]
