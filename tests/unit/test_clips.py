"""Clips of a person: read upright at one rate, and the face followed through them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from services.avatar.clips import ClipLimits, clip_info, is_clip, read_frames
from services.avatar.engine import tell_nobody
from services.avatar.face.finder import MeshFaceFinder
from services.avatar.face.motion import interpolated, smoothed
from services.avatar.study import Scholar
from services.contract.errors import InvalidRequest, ServiceError, TooLarge, UnsuitableFace, UnsupportedMedia
from tests.footage import FACELESS, PHOTO, film, sound_only, steady, swaying, turned, uneven

LIMITS = ClipLimits(most_pixels=10_000_000, longest_s=20)
NOSE = 4


@pytest.fixture(scope="module")
def scholar() -> Scholar:
    return Scholar(MeshFaceFinder(Path("models")), LIMITS)


def apart(ours: np.ndarray, theirs: np.ndarray) -> float:
    return float(np.abs(ours.astype(int) - theirs).mean())


@pytest.mark.parametrize("fps", [12.5, 24, 25, 30, 60])
def test_any_rate_becomes_25_and_keeps_its_length(tmp_path: Path, fps: float) -> None:
    frames = list(read_frames(film(tmp_path / "clip.mp4", steady(2.0, fps)), LIMITS))
    assert abs(len(frames) - 50) <= 1
    for number in (0, 10, 25, 40):
        assert apart(frames[number], swaying(number / 25)) < (4 if fps >= 24 else 10)


def test_25_a_second_are_taken_as_they_are(tmp_path: Path) -> None:
    frames = list(read_frames(film(tmp_path / "clip.mp4", steady(1.0)), LIMITS))
    assert len(frames) == 25
    assert max(apart(frame, swaying(number / 25)) for number, frame in enumerate(frames)) < 3


def test_uneven_frames_are_shown_when_they_were(tmp_path: Path) -> None:
    frames = list(read_frames(film(tmp_path / "clip.mp4", uneven(3.0)), LIMITS))
    assert abs(len(frames) - 75) <= 2
    drift = [np.abs(frames[number].astype(int) - swaying(number / 25)).mean() for number in range(70)]
    assert np.mean(drift) < 4


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_turned_clip_is_put_upright(tmp_path: Path, degrees: int) -> None:
    quarter = {90: 3, 180: 2, 270: 1}[degrees]
    lying = film(
        tmp_path / "lying.mp4", steady(0.4), lambda at_s: np.ascontiguousarray(np.rot90(swaying(at_s), quarter))
    )
    frames = list(read_frames(turned(tmp_path / "clip.mp4", lying, degrees), LIMITS))
    assert apart(frames[0], PHOTO) < 4


def test_4k_comes_at_2048(tmp_path: Path) -> None:
    clip = film(tmp_path / "clip.mp4", steady(0.12), scale=8.0)
    info = clip_info(clip, LIMITS)
    assert (info.width, info.height, info.frames) == (2048, 2048, 3)
    assert [frame.shape for frame in read_frames(clip, LIMITS)] == [(2048, 2048, 3)] * 3
    with pytest.raises(TooLarge, match="2560x2560"):
        clip_info(clip, ClipLimits(1_000_000, 20))


def test_what_is_no_film_of_a_person_is_told(tmp_path: Path) -> None:
    whole = film(tmp_path / "whole.mp4", steady(1.0)).read_bytes()

    def refusal(content: bytes, limits: ClipLimits = LIMITS) -> ServiceError:
        with pytest.raises(ServiceError) as failure:
            list(read_frames(content, limits))
        return failure.value

    assert "single picture" in refusal(film(tmp_path / "one.mp4", [0.0]).read_bytes()).detail
    assert "only sound" in refusal(sound_only(tmp_path / "sound.mp4").read_bytes()).detail
    assert isinstance(refusal(whole[: len(whole) // 2]), UnsupportedMedia)
    assert isinstance(refusal(b"\0\0\0\x20ftypisom" + bytes(100)), UnsupportedMedia)
    assert isinstance(refusal(whole, ClipLimits(10**7, 0.5)), TooLarge)
    harmed = bytearray(whole)
    harmed[2000 : len(whole) - 3000] = bytes(len(whole) - 5000)
    assert isinstance(refusal(bytes(harmed)), InvalidRequest)


def test_clips_are_told_from_pictures_by_their_first_bytes(tmp_path: Path) -> None:
    clip = film(tmp_path / "clip.mp4", steady(0.2))
    assert is_clip(clip)
    assert is_clip(clip.read_bytes())
    assert not is_clip(b"\x89PNG\r\n\x1a\n" + bytes(20))
    assert not is_clip(b"")
    for photo in (b"heic", b"avif", b"mif1"):
        assert not is_clip(b"\0\0\0\x18ftyp" + photo + bytes(20))


def test_frames_larger_than_announced_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "clip.webm"
    large, small = film(tmp_path / "large.mp4", steady(0.2), scale=4.0), film(tmp_path / "small.mp4", steady(0.2))
    with av.open(str(path), "w", format="webm") as out:
        stream = out.add_stream("libvpx", rate=25)
        stream.width = stream.height = 320
        stream.pix_fmt = "yuv420p"
        out.start_encoding()
        shown = 0
        for clip in (small, large):
            side = 320 if clip == small else 1280
            encoder = av.CodecContext.create("libvpx", "w")
            encoder.width = encoder.height = side
            encoder.pix_fmt, encoder.time_base = "yuv420p", Fraction(1, 25)
            for picture in read_frames(clip, LIMITS):
                frame = av.VideoFrame.from_ndarray(picture, format="bgr24").reformat(format="yuv420p")
                frame.pts, frame.time_base = shown, Fraction(1, 25)
                shown += 1
                for packet in encoder.encode(frame):
                    packet.stream = stream
                    out.mux(packet)
    with pytest.raises(InvalidRequest, match=r"differ in size|damaged"):
        list(read_frames(path, ClipLimits(320 * 320, 20)))


def test_the_face_is_followed(tmp_path: Path, scholar: Scholar) -> None:
    told: list[tuple[str, int, int]] = []
    clip = film(tmp_path / "clip.mp4", steady(2.0))
    study = scholar.study(clip, lambda *progress: told.append(progress))
    assert study.landmarks is not None
    assert study.landmarks.shape == (50, 468, 3)
    assert study.motion_s == 2.0
    assert told == [("faces", 0, 50), ("faces", 25, 50)]
    moved = study.landmarks[:, NOSE, 0] - study.landmarks[0, NOSE, 0]
    expected = 10 * np.sin(np.pi * np.arange(50) / 25)
    assert np.abs(moved - expected).max() < 1.5
    assert np.ptp(study.landmarks[:, NOSE, 1]) < 1.5
    assert study.face.landmarks.shape == (478, 3)
    assert not any("guessed" in warning for warning in study.face.warnings)


def test_a_face_missed_for_a_moment_is_guessed_and_told(tmp_path: Path, scholar: Scholar) -> None:
    def blinking(at_s: float) -> np.ndarray:
        return FACELESS if 0.8 <= at_s < 1.0 else swaying(at_s)

    study = scholar.study(film(tmp_path / "clip.mp4", steady(2.0), blinking), tell_nobody)
    assert study.landmarks is not None
    moved = study.landmarks[:, NOSE, 0] - study.landmarks[0, NOSE, 0]
    assert np.abs(moved - 10 * np.sin(np.pi * np.arange(50) / 25)).max() < 2.5
    assert any("guessed" in warning for warning in study.face.warnings)


@pytest.mark.parametrize(
    ("scene", "told"),
    [
        (lambda at_s: FACELESS, "no face"),
        (lambda at_s: swaying(at_s) if at_s < 1 else FACELESS, "leaves the clip at 1.0 s"),
        (lambda at_s: np.hstack([PHOTO, PHOTO])[:, ::2].copy(), "2 faces|no face"),
    ],
)
def test_a_clip_without_one_face_is_refused(tmp_path: Path, scholar: Scholar, scene, told: str) -> None:  # type: ignore[no-untyped-def]
    clip = film(tmp_path / "clip.mp4", steady(3.0), scene)
    with pytest.raises(UnsuitableFace, match=told):
        scholar.study(clip, tell_nobody)


def test_smoothing_takes_the_jitter_and_leaves_the_motion_in_its_place() -> None:
    random = np.random.default_rng(1)
    at = np.arange(100)
    motion = np.repeat((20 * np.sin(at / 8))[:, None, None], 3, 2).astype(np.float32)
    noisy = motion + random.normal(0, 0.2, motion.shape).astype(np.float32)
    calm = smoothed(noisy)
    assert np.std(np.diff(calm - motion, 2, axis=0)) < 0.15 * np.std(np.diff(noisy - motion, 2, axis=0))
    lags = [np.abs(np.roll(calm, lag, 0)[10:-10] - motion[10:-10]).mean() for lag in (-2, -1, 0, 1, 2)]
    assert int(np.argmin(lags)) == 2


def test_missing_frames_lie_between_their_neighbours() -> None:
    points = [None, np.full((2, 3), 1.0), None, None, np.full((2, 3), 4.0), None]
    assert interpolated(points)[:, 0, 0].tolist() == [1, 1, 2, 3, 4, 4]
