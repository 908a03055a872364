"""The MuseTalk engine over real loaders and tiny weights."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from services.avatar.artwork import read_avatar
from services.avatar.engine import AvatarSource, FrameSize, Image
from services.avatar.engines.musetalk.engine import MuseTalkEngine
from services.avatar.engines.musetalk.faces import FaceOptions
from services.avatar.engines.musetalk.generation import Generator
from services.avatar.engines.musetalk.hearing import Ears
from services.avatar.engines.musetalk.making import make_musetalk
from services.avatar.engines.musetalk.passes import pass_of
from services.avatar.engines.musetalk.track import Track, place_at
from services.avatar.engines.musetalk.weights import load_networks
from services.avatar.settings import AvatarSettings
from services.contract.errors import EngineFailed, ServiceError, Unavailable, UnsuitableFace
from services.contract.speech import AudioChunk
from tests.checkpoints.musetalk import build_musetalk

SIZE = FrameSize(256, 256)
FPS = Fraction(25)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_musetalk(tmp_path_factory.mktemp("musetalk"))


def settings(folder: Path, **fields: object) -> AvatarSettings:
    given = {"musetalk_dir": folder, "musetalk_batch": 4, "pack_dir": folder / "packs"}
    return AvatarSettings.model_validate(given | fields)


@pytest.fixture(scope="module")
def engine(weights: Path) -> Iterator[MuseTalkEngine]:
    engine = make_musetalk(settings(weights))
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def maya() -> AvatarSource:
    return read_avatar(Path(__file__).parents[2] / "avatars" / "maya").source


@pytest.fixture(scope="module")
def track(engine: MuseTalkEngine, maya: AvatarSource) -> Track:
    return engine.prepare(maya, SIZE)


def voice(seconds: float, silence_s: float = 0.0) -> AudioChunk:
    at = np.arange(round(48_000 * seconds)) / 48_000
    sound = 8000 * np.sin(2 * np.pi * 150 * at) * (1 + np.sin(2 * np.pi * 4 * at))
    silent = np.zeros(round(48_000 * silence_s))
    return AudioChunk(np.concatenate([sound, silent]).astype("<i2").tobytes(), 48_000)


def rendered(engine: MuseTalkEngine, track: Track, speech: AudioChunk, first_frame: int = 0) -> list[Image]:
    return [frame.copy() for frame in engine.render(track, speech, first_frame, FPS)]


def test_the_lower_face_changes_and_nothing_else(engine: MuseTalkEngine, track: Track) -> None:
    frames = rendered(engine, track, voice(0.4))
    assert len(frames) == 10
    left, top, right, bottom = track.patch(0).face_box
    changed = np.argwhere((np.stack(frames) != track.picture(0)).any((0, 3)))
    assert (top + bottom) // 2 - 15 <= changed.min(0)[0]
    assert changed.max(0)[0] < bottom
    assert left <= changed.min(0)[1]
    assert changed.max(0)[1] < right
    assert (frames[4] != frames[5]).any()


def test_a_segment_is_the_same_again_and_beside_others(engine: MuseTalkEngine, track: Track) -> None:
    alone = rendered(engine, track, voice(0.4))
    together: dict[int, list[Image]] = {}

    def render(at: int) -> None:
        together[at] = rendered(engine, track, voice(0.4 + 0.1 * at))

    threads = [threading.Thread(target=render, args=(at,)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(together[at]) for at in range(4)] == [10, 13, 15, 18]
    differences = np.abs(np.stack(together[0]).astype(int) - np.stack(alone))
    assert differences.max() <= 1  # batches of other frames round a little differently


def test_silence_shows_the_avatars_own_face(engine: MuseTalkEngine, track: Track) -> None:
    frames = rendered(engine, track, voice(0.4, silence_s=1.0))
    picture = track.picture(0)
    assert all((frame == picture).all() for frame in frames[-15:])
    assert (frames[5] != picture).any()


def test_without_the_gate_every_frame_is_generated(weights: Path, maya: AvatarSource) -> None:
    engine = make_musetalk(settings(weights, silence_gate=False))
    try:
        track = engine.prepare(maya, SIZE)
        frames = rendered(engine, track, voice(0.0, silence_s=0.2))
        assert all((frame != track.picture(0)).any() for frame in frames)
    finally:
        engine.close()


def test_leaving_takes_back_what_was_asked(engine: MuseTalkEngine, track: Track) -> None:
    frames = engine.render(track, voice(20), 0, FPS)
    next(frames)
    frames.close()
    assert len(rendered(engine, track, voice(0.2))) == 5


def test_motion_goes_forward_and_back() -> None:
    assert [place_at(frame, FPS, 4) for frame in range(9)] == [0, 1, 2, 3, 2, 1, 0, 1, 2]
    assert [place_at(frame, Fraction(50), 4) for frame in range(5)] == [0, 0, 1, 1, 2]
    assert [place_at(frame, FPS, 1) for frame in range(3)] == [0, 0, 0]


def test_a_face_that_is_too_small_is_told(engine: MuseTalkEngine, maya: AvatarSource) -> None:
    with pytest.raises(UnsuitableFace, match="pixels"):
        engine.prepare(maya, FrameSize(32, 32))


def test_a_full_gpu_fails_that_request_only(
    engine: MuseTalkEngine, track: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    def predict(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(Generator, "predict", predict)
    with pytest.raises(Unavailable) as failure:
        rendered(engine, track, voice(0.2))
    assert failure.value.retry_after_s
    for odd in (RuntimeError("odd"), ImportError("odd")):
        monkeypatch.setattr(Generator, "predict", lambda *_, odd=odd: (_ for _ in ()).throw(odd))
        with pytest.raises(EngineFailed, match="odd"):
            rendered(engine, track, voice(0.2))
    monkeypatch.undo()
    monkeypatch.setattr(Ears, "tokens", predict)
    with pytest.raises(Unavailable):
        rendered(engine, track, voice(0.2))
    monkeypatch.undo()
    assert len(rendered(engine, track, voice(0.2))) == 5


def test_safetensors_are_taken_where_they_lie(weights: Path, tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    shutil.copytree(weights, folder)
    unet = folder / "musetalkV15" / "unet.pth"
    state = torch.load(unet, weights_only=True)
    save_file(state, unet.with_suffix(".safetensors"))
    unet.unlink()
    loaded = load_networks(folder).unet.state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items())


UNET, VAE, EARS = "musetalkV15/unet.pth", "sd-vae/diffusion_pytorch_model.bin", "whisper/pytorch_model.bin"


@pytest.mark.parametrize("path", [UNET, "musetalkV15/musetalk.json", VAE, "sd-vae/config.json", EARS])
@pytest.mark.parametrize("harm", ["missing", "truncated", "of another kind"])
def test_wrong_files_are_told_by_name(weights: Path, tmp_path: Path, path: str, harm: str) -> None:
    folder = tmp_path / "weights"
    shutil.copytree(weights, folder)
    place = folder / path
    if harm == "missing":
        place.unlink()
    elif harm == "truncated":
        place.write_bytes(place.read_bytes()[: place.stat().st_size // 2])
    else:
        place.write_bytes(b"<html>404</html>" * 100)
    with pytest.raises(Unavailable, match=path.split("/")[0]):
        load_networks(folder)


def test_weights_of_other_sizes_are_told(weights: Path, tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    shutil.copytree(weights, folder)
    config = folder / "musetalkV15" / "musetalk.json"
    config.write_text(config.read_text().replace('"out_channels": 4', '"out_channels": 8'))
    with pytest.raises(ServiceError, match="musetalkV15"):
        load_networks(folder)


def test_pickled_code_is_not_run(weights: Path, tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "harmed",)  # type: ignore[return-value]

    folder = tmp_path / "weights"
    shutil.copytree(weights, folder)
    torch.save({"conv_in.weight": Harm()}, folder / UNET)
    with pytest.raises(Unavailable):
        load_networks(folder)
    assert not (tmp_path / "harmed").exists()


def test_the_tiny_decoder_takes_the_place_of_the_large_one(weights: Path, track: Track) -> None:
    large, small = (make_musetalk(settings(weights, musetalk_decoder=name)) for name in ("sd-vae", "taesd"))
    try:
        ours, theirs = rendered(large, track, voice(0.2)), rendered(small, track, voice(0.2))
        assert len(ours) == len(theirs) == 5
        assert (ours[2] != theirs[2]).any()
    finally:
        large.close()
        small.close()


def test_options_change_box_and_mask(weights: Path, maya: AvatarSource) -> None:
    def patch(**fields: object) -> tuple[tuple[int, ...], int]:
        engine = make_musetalk(settings(weights, **fields))
        try:
            patch = engine.prepare(maya, SIZE).patch(0)
            return patch.face_box, int(patch.mask.astype(int).sum())
        finally:
            engine.close()

    box, seen = patch()
    assert patch(extra_margin=0)[0][3] == box[3] - 10
    assert patch(parsing_mode="raw") != (box, seen)
    assert patch(left_cheek_width=20, right_cheek_width=20)[1] < seen
    assert FaceOptions() == FaceOptions(left_cheek=90)


@pytest.mark.parametrize("skip", [2, 3])
def test_skipped_frames_are_mixed_of_their_neighbours(
    weights: Path, track: Track, monkeypatch: pytest.MonkeyPatch, skip: int
) -> None:
    engine = make_musetalk(settings(weights, silence_gate=False))
    asked = []
    submit = engine._batcher.submit
    monkeypatch.setattr(engine._batcher, "submit", lambda *what: asked.append(what) or submit(*what))
    try:
        every = rendered(engine, track, voice(0.4))
        asked.clear()
        some = [frame.copy() for frame in engine.render(track, voice(0.4), 0, FPS, skip)]
    finally:
        engine.close()
    keys = sorted({*range(0, 10, skip), 9})
    assert len(some) == 10
    assert len(asked) == len(keys)
    for key in keys:
        assert np.abs(some[key].astype(int) - every[key]).max() <= 1
    between = (1 - 1 / skip) * every[0].astype(float) + every[skip] / skip
    assert np.abs(some[1] - between).max() <= 2


def test_modes_of_a_gpu_are_refused_without_one(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unavailable, match="eager"):
        make_musetalk(settings(weights, musetalk_mode="graph"))
    with pytest.raises(Unavailable, match="torch-tensorrt"):
        pass_of(lambda latents, windows: latents, "tensorrt")
