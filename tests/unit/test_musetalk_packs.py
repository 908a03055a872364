"""Prepared avatars on disk: made once, shared, made anew when something changes or breaks."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from services.avatar.clips import ClipLimits
from services.avatar.engine import AvatarSource, FrameSize, tell_nobody
from services.avatar.engines.musetalk import pack
from services.avatar.engines.musetalk.engine import MuseTalkEngine
from services.avatar.engines.musetalk.generation import Generator
from services.avatar.engines.musetalk.making import make_musetalk
from services.avatar.engines.musetalk.track import StillTrack, Track, stills_of
from services.avatar.face.finder import MeshFaceFinder
from services.avatar.library import AvatarLibrary
from services.avatar.settings import AvatarSettings
from services.contract.errors import Unavailable
from tests.checkpoints.musetalk import build_musetalk
from tests.footage import film, steady
from tests.unit.test_musetalk_engine import FPS, rendered, voice

SIZE = FrameSize(256, 256)
FRAMES, SHARD_FRAMES = 30, 20
LIMITS = ClipLimits(10**7, 20)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_musetalk(tmp_path_factory.mktemp("musetalk"))


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> AvatarSource:
    folder = tmp_path_factory.mktemp("avatars")
    clip = film(folder / "clip.mp4", steady(FRAMES / 25)).read_bytes()
    library = AvatarLibrary(AvatarSettings(avatar_dir=folder / "avatars"), MeshFaceFinder(Path("models")))
    return library.add("anna", clip).source


@pytest.fixture(autouse=True)
def short_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack, "SHARD_FRAMES", SHARD_FRAMES)


def made(weights: Path, packs: Path, **fields: object) -> MuseTalkEngine:
    given = {"musetalk_dir": weights, "musetalk_batch": 4, "pack_dir": packs} | fields
    return make_musetalk(AvatarSettings.model_validate(given))


@pytest.fixture
def engine(weights: Path, tmp_path: Path) -> Iterator[MuseTalkEngine]:
    engine = made(weights, tmp_path / "packs")
    yield engine
    engine.close()


def folders(packs: Path) -> list[Path]:
    return [path for path in packs.iterdir() if path.is_dir()]


def test_a_clip_becomes_a_pack_that_holds_what_was_made(
    engine: MuseTalkEngine, person: AvatarSource, tmp_path: Path
) -> None:
    told: list[tuple[str, int, int]] = []
    track = engine.prepare(person, SIZE, lambda *progress: told.append(progress))
    assert len(track) == FRAMES
    assert told[0] == ("frames", 0, FRAMES)
    assert told[-1][1] >= 24
    fresh = StillTrack(list(stills_of(person, SIZE, engine._generator, engine._options, tell_nobody)))
    for place in (0, 12, 19, 20, 29):
        ours, theirs = track.patch(place), fresh.patch(place)
        assert (ours.face_box, ours.mask_box) == (theirs.face_box, theirs.mask_box)
        assert np.array_equal(ours.mask, theirs.mask)
        assert torch.equal(track.latents(place), fresh.latents(place))
        assert np.abs(track.picture(place).astype(int) - fresh.picture(place)).mean() < 2
    [kept] = folders(tmp_path / "packs")
    assert sorted(path.name for path in kept.iterdir()) == ["00000.safetensors", "00001.safetensors", "manifest.json"]
    manifest = json.loads((kept / "manifest.json").read_text())
    assert manifest["ingredients"]["avatar"] == person.digest
    assert [shard["frames"] for shard in manifest["shards"]] == [SHARD_FRAMES, FRAMES - SHARD_FRAMES]


def test_the_face_goes_where_the_clips_face_is(engine: MuseTalkEngine, person: AvatarSource) -> None:
    track = engine.prepare(person, SIZE)
    lefts = [track.patch(place).face_box[0] for place in range(FRAMES)]
    sway = 10 * np.sin(np.pi * np.arange(FRAMES) / 25) * 256 / 320
    assert np.abs(np.array(lefts) - np.mean(lefts) - sway + sway.mean()).max() < 3
    frames = rendered(engine, track, voice(0.4), first_frame=15)
    for number, frame in enumerate(frames):
        own = track.picture(15 + number)
        box = track.patch(15 + number).mask_box
        changed = np.argwhere((frame != own).any(2))
        assert changed[:, 1].min() >= box[0]
        assert changed[:, 1].max() < box[2]


def test_packs_are_made_once_and_anew_when_a_parameter_changes(
    weights: Path, person: AvatarSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_frames = []
    encode = Generator.latents
    monkeypatch.setattr(Generator, "latents", lambda self, crops: made_frames.append(len(crops)) or encode(self, crops))
    packs = tmp_path / "packs"

    def frames_made(**fields: object) -> int:
        made_frames.clear()
        engine = made(weights, packs, **fields)
        try:
            engine.prepare(person, SIZE)
        finally:
            engine.close()
        return sum(made_frames)

    assert frames_made() == FRAMES
    assert frames_made() == 0  # as another replica would find it
    for change in ({"extra_margin": 4}, {"parsing_mode": "raw"}, {"left_cheek_width": 60}, {"bbox_shift": 3}):
        assert frames_made(**change) == FRAMES
    assert len(folders(packs)) == 5
    assert frames_made(extra_margin=4) == 0


def test_two_who_need_a_pack_make_one(
    weights: Path, person: AvatarSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_frames: list[int] = []
    encode = Generator.latents
    monkeypatch.setattr(Generator, "latents", lambda self, crops: made_frames.append(len(crops)) or encode(self, crops))
    engines = [made(weights, tmp_path / "packs") for _ in range(2)]
    tracks: list[Track] = []
    threads = [threading.Thread(target=lambda e=engine: tracks.append(e.prepare(person, SIZE))) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for engine in engines:
        engine.close()
    assert len(tracks) == 2
    assert sum(made_frames) == FRAMES


@pytest.mark.parametrize(
    "harm", ["a shard cut short", "a shard gone", "no manifest", "another manifest", "a manifest of noise"]
)
def test_a_damaged_pack_is_told_and_made_anew(
    engine: MuseTalkEngine, person: AvatarSource, tmp_path: Path, caplog: pytest.LogCaptureFixture, harm: str
) -> None:
    before = engine.prepare(person, SIZE)
    expected = before.picture(21), before.latents(21)
    [kept] = folders(tmp_path / "packs")
    shard, manifest = kept / "00001.safetensors", kept / "manifest.json"
    if harm == "a shard cut short":
        shard.write_bytes(shard.read_bytes()[:-100])
    elif harm == "a shard gone":
        shard.unlink()
    elif harm == "no manifest":
        manifest.unlink()
    elif harm == "another manifest":
        manifest.write_text(manifest.read_text().replace(person.digest, "0" * 64))
    else:
        manifest.write_bytes(b"\x80\x04noise")
    with caplog.at_level(logging.WARNING):
        after = engine.prepare(person, SIZE)
    assert "is damaged and made anew" in caplog.text
    assert np.array_equal(after.picture(21), expected[0])
    assert torch.equal(after.latents(21), expected[1])


def test_one_picture_is_kept_without_loss(engine: MuseTalkEngine, person: AvatarSource, tmp_path: Path) -> None:
    still = replace(person, motion=None)
    track = engine.prepare(still, SIZE)
    fresh = StillTrack(list(stills_of(still, SIZE, engine._generator, engine._options, tell_nobody)))
    assert len(track) == 1
    assert np.array_equal(track.picture(0), fresh.picture(0))
    assert len(folders(tmp_path / "packs")) == 1


def test_nothing_is_kept_of_an_upload(engine: MuseTalkEngine, person: AvatarSource, tmp_path: Path) -> None:
    track = engine.prepare(replace(person, motion=None, lasting=False), SIZE)
    assert len(track) == 1
    assert not (tmp_path / "packs").exists()


def test_packs_go_with_their_avatar_and_make_room(weights: Path, person: AvatarSource, tmp_path: Path) -> None:
    other = replace(person, digest="0" * 64, motion=None)
    packs = tmp_path / "packs"
    engine = made(weights, packs)
    try:
        engine.prepare(person, SIZE)
        engine.prepare(other, SIZE)
        assert len(folders(packs)) == 2
        engine.forget(person.digest)
        assert len(folders(packs)) == 1
    finally:
        engine.close()
    engine = made(weights, packs, packs_max_gb=1e-9)
    try:
        assert len(engine.prepare(person, SIZE)) == FRAMES
        assert len(folders(packs)) == 1
        assert len(engine.prepare(person, SIZE)) == FRAMES
    finally:
        engine.close()


def test_a_folder_that_cannot_be_written_is_told(weights: Path, person: AvatarSource, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    engine = made(weights, tmp_path / "file")
    try:
        with pytest.raises(Unavailable, match="AVATAR_PACK_DIR"):
            engine.prepare(person, SIZE)
    finally:
        engine.close()


def test_a_full_gpu_is_told(engine: MuseTalkEngine, person: AvatarSource, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(Generator, "latents", full)
    with pytest.raises(Unavailable, match="memory"):
        engine.prepare(person, SIZE)


def test_segments_meet_whatever_their_order(engine: MuseTalkEngine, person: AvatarSource) -> None:
    track = engine.prepare(person, SIZE)
    late = [frame.copy() for frame in engine.render(track, voice(0.0, silence_s=0.4), 55, Fraction(25))]
    assert np.array_equal(late[0], track.picture(3))  # 58 is where the clip begins again
    assert np.array_equal(late[3], track.picture(0))
    assert FPS == 25
