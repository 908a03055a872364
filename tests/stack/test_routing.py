"""Films and phrases, spoken by the engine of their language."""

from __future__ import annotations

import json
import time
from pathlib import Path

import httpx

from tests.checkpoints.kokoro import build_kokoro
from tests.processes import running_stack

FILM = {"avatar": "grace", "size": "128x128"}


def test_films_of_an_avatar_and_phrases_go_where_the_routes_lead(tmp_path: Path) -> None:
    build_kokoro(tmp_path / "kokoro")
    phrases = ["Hello! How can I help?", "Call 911.", "I am so happy!"]
    environment = {
        "MODELS_DIR": str(tmp_path),
        "TTS_ROUTES": json.dumps({"en": ["kokoro"]}),
        "TTS_PRERENDER": json.dumps(phrases),
    }
    with running_stack(environment=environment) as url, httpx.Client(base_url=url, timeout=60) as client:

        def spoke(text: str) -> tuple[str, str]:
            film = client.post("/video/generate", json={"text": text} | FILM)
            assert film.status_code == 200, film.text
            return film.headers["x-talkie-engine"], film.headers["x-talkie-voice"]

        assert spoke("Good morning to all of you.") == ("kokoro", "af_heart")
        assert spoke("Guten Morgen, wie geht es Ihnen heute?") == ("espeak", "female")

        # Three phrases in one go, two of them again as they are cut and read, one with its emotion; and two films.
        until_kept(client, 3 + 3 + 1 + 2)
        for phrase in phrases:
            assert client.post("/synthesize", json={"text": phrase}).json()["cached"], phrase
            body = {"model": "tts-1", "input": phrase, "response_format": "pcm", "voice": "alloy"}
            assert client.post("/v1/audio/speech", json=body).headers["x-talkie-cache"] == "hit", phrase


def until_kept(client: httpx.Client, utterances: int) -> None:
    for _ in range(600):
        if client.get("/tts/cache/stats").json()["cache_size"] >= utterances:
            return
        time.sleep(0.1)
    raise AssertionError(client.get("/tts/cache/stats").json())
