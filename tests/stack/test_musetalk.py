"""The whole product with the musetalk engine over tiny weights, through the real loaders."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.checkpoints.musetalk import build_musetalk
from tests.processes import running_stack
from tests.stack.films import decode

TEXT = {"text": "Hello there. Another one.", "size": "256x256", "avatar": "maya"}


@pytest.fixture(scope="module")
def musetalk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = build_musetalk(tmp_path_factory.mktemp("musetalk"))
    environment = {"AVATAR_ENGINE": "musetalk", "AVATAR_MUSETALK_DIR": str(folder), "AVATAR_LANES": "2"}
    with running_stack(environment=environment) as url, httpx.Client(base_url=url, timeout=100) as client:
        yield client


def until_loaded(client: httpx.Client) -> httpx.Response:
    """Return what readiness tells once nothing is being loaded any more."""
    for _ in range(300):
        if "loading" not in (told := client.get("/health/ready")).text:
            return told
        time.sleep(0.1)
    pytest.fail(told.text)


def test_a_film_end_to_end(musetalk: httpx.Client) -> None:
    assert until_loaded(musetalk).status_code == 200
    answer = musetalk.post("/video/generate", json=TEXT)
    assert answer.status_code == 200
    film = decode(answer.content)
    assert film.codecs == ("h264", "aac")
    assert film.size == (256, 256)
    assert np.allclose(np.diff(film.times_s), 1 / 25)
    assert abs(film.sound_s - film.video_s) < 0.04
    moving = np.stack(film.frames).astype(int)
    middle = moving.shape[1] // 2
    # Only the lower face moves: the forehead is as still as the encoder leaves it.
    assert np.ptp(moving[:, middle:], 0).max() > 30
    assert np.ptp(moving[:, : middle // 2], 0).max() < 12


def test_status_says_who_animates(musetalk: httpx.Client) -> None:
    assert until_loaded(musetalk).status_code == 200
    assert musetalk.get("/health").json()["models_loaded"][-1] == "musetalk"


def test_without_weights_the_rest_of_the_product_works(tmp_path: Path) -> None:
    environment = {"AVATAR_ENGINE": "musetalk", "AVATAR_MUSETALK_DIR": str(tmp_path)}
    with running_stack(environment=environment) as url, httpx.Client(base_url=url, timeout=60) as client:
        told = until_loaded(client)
        assert told.status_code == 503
        assert "fetch-models musetalk" in told.json()["reason"]
        refusal = client.post("/video/generate", json=TEXT)
        assert (refusal.status_code, refusal.json()["code"]) == (503, "unavailable")
        assert client.post("/v1/audio/speech", json={"input": "Hello."}).status_code == 200
