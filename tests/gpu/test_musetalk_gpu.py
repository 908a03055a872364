"""The MuseTalk engine on a GPU: graphs that make the same faces, many streams, memory that does not grow."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from services.avatar.artwork import read_avatar
from services.avatar.engine import FrameSize, Image
from services.avatar.engines.musetalk.engine import MuseTalkEngine
from services.avatar.engines.musetalk.making import make_musetalk
from services.avatar.engines.musetalk.passes import Mode
from services.avatar.settings import AvatarSettings
from tests.checkpoints.musetalk import build_musetalk
from tests.unit.test_musetalk_engine import FPS, rendered, voice

SIZE = FrameSize(256, 256)
MAYA = Path(__file__).parents[2] / "avatars" / "maya"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_musetalk(tmp_path_factory.mktemp("musetalk"))


def made(weights: Path, mode: Mode, dtype: str = "float32") -> MuseTalkEngine:
    given = {"device": "cuda:0", "dtype": dtype, "musetalk_dir": weights, "pack_dir": weights / "packs"}
    return make_musetalk(AvatarSettings.model_validate(given | {"musetalk_mode": mode, "musetalk_batch": 4}))


@pytest.fixture(scope="module")
def plain(weights: Path) -> Iterator[list[Image]]:
    engine = made(weights, "eager")
    track = engine.prepare(read_avatar(MAYA).source, SIZE)
    yield rendered(engine, track, voice(0.8))
    engine.close()


@pytest.mark.parametrize("mode", ["graph", "compile"])
def test_every_mode_makes_the_same_faces(weights: Path, plain: list[Image], mode: Mode) -> None:
    engine = made(weights, mode)
    try:
        track = engine.prepare(read_avatar(MAYA).source, SIZE)
        frames = rendered(engine, track, voice(0.8))
    finally:
        engine.close()
    assert len(frames) == len(plain)
    assert np.abs(np.stack(frames).astype(int) - np.stack(plain)).mean() < 0.1


def test_eight_streams_each_get_their_own(weights: Path, plain: list[Image]) -> None:
    engine = made(weights, "graph")
    seen: dict[int, list[Image]] = {}
    try:
        track = engine.prepare(read_avatar(MAYA).source, SIZE)

        def watch(number: int) -> None:
            seen[number] = rendered(engine, track, voice(0.8))

        threads = [threading.Thread(target=watch, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        engine.close()
    for frames in seen.values():
        assert np.abs(np.stack(frames).astype(int) - np.stack(plain)).mean() < 0.1


def test_memory_does_not_grow_with_the_speech(weights: Path) -> None:
    engine = made(weights, "graph", "bfloat16")
    try:
        track = engine.prepare(read_avatar(MAYA).source, SIZE)

        def peak(seconds: float) -> int:
            torch.cuda.reset_peak_memory_stats()
            for _ in engine.render(track, voice(seconds), 0, FPS):
                pass
            return torch.cuda.max_memory_allocated()

        peak(5)
        assert peak(600) < 1.1 * peak(60)
        assert engine.gpu() is not None
    finally:
        engine.close()
