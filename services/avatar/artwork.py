"""Avatars on disk: one folder each.

avatars/maya/avatar.json       title, licence, voice, landmarks: `AvatarFile`
             portrait.png      the person; transparent where a background of its own shows
             background.jpg    optional, as high, and as wide as the widest film should be
             closed_eyes.png   optional, same size: transparent but for the closed lids
             source.mp4        optional, the person moving; the portrait is one of its frames
             motion.npy        with it, the face mesh of its frames: `FaceMotion`
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.avatar.clips import read_frames
from services.avatar.digests import digest_of
from services.avatar.engine import AvatarSource, FaceMotion, Image, Motion
from services.avatar.folders import folder_beside
from services.contract.errors import InvalidRequest, NameTaken, Unavailable
from services.contract.video import AvatarInfo

LANDMARKS, MESH_POINTS = 478, 468

AVATAR_FILE = "avatar.json"
PORTRAIT, BACKGROUND, CLOSED_EYES = "portrait.png", "background.jpg", "closed_eyes.png"
CLIP, MOTION = "source.mp4", "motion.npy"

Point = tuple[float, float, float]
Matte = npt.NDArray[np.uint8]
"""[height, width], 255 is opaque."""


class AvatarFile(BaseModel):
    """Content of `avatar.json`."""

    model_config = ConfigDict(extra="forbid")

    title: str = Field(description="The name people read.")
    license: str = Field(description="SPDX identifier, or a sentence.")
    voice: Literal["female", "male"] | None = Field(None, description="The kind of voice that suits it.")
    added: bool = Field(False, description="Whether a user added it, and may therefore remove it.")
    motion_s: float = Field(0.0, ge=0, description="Length of its clip.")
    warnings: tuple[str, ...] = Field((), description="What will look less good than it could.")
    landmarks: Annotated[tuple[Point, ...], Field(min_length=LANDMARKS, max_length=LANDMARKS)]


@dataclass(frozen=True)
class Avatar:
    """A person who can be animated, and what clients are told about them."""

    info: AvatarInfo
    source: AvatarSource


def read_file(folder: Path) -> AvatarFile:
    """Return the description of the avatar in `folder`. Raises `Unavailable` when it is broken."""
    try:
        return AvatarFile.model_validate_json((folder / AVATAR_FILE).read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise Unavailable(f"The avatar in {folder} is broken: {AVATAR_FILE}: {place}: {first['msg']}.") from error


def info_of(folder: Path, file: AvatarFile) -> AvatarInfo:
    """Return what clients are told about the avatar in `folder`."""
    with Pillow.open(folder / PORTRAIT) as portrait:
        width, height = portrait.size
    return AvatarInfo(
        name=folder.name,
        title=file.title,
        license=file.license,
        width=width,
        height=height,
        voice=file.voice,
        motion_s=file.motion_s,
        warnings=list(file.warnings),
    )


def read_avatar(folder: Path) -> Avatar:
    """Return the avatar in `folder`. Raises `Unavailable` when it is broken."""
    file = read_file(folder)
    person, matte = _read_layer(folder / PORTRAIT)
    background = _read_layer(folder / BACKGROUND)[0] if (folder / BACKGROUND).exists() else None
    portrait = _over(person, matte, np.full_like(person, 255) if background is None else _middle(background, person))
    source = AvatarSource(
        name=folder.name,
        portrait=portrait,
        landmarks=np.array(file.landmarks, np.float32),
        digest=digest_of(folder),
        matte=None if background is None else matte,
        background=background,
        closed_eyes=_over(*_read_layer(folder / CLOSED_EYES), portrait) if (folder / CLOSED_EYES).exists() else None,
        motion=_read_motion(folder) if (folder / CLIP).exists() else None,
    )
    return Avatar(info_of(folder, file), source)


@dataclass(frozen=True)
class StoredClip:
    """A clip as it came, and the face in it."""

    data: bytes
    landmarks: FaceMotion


def write_avatar(folder: Path, file: AvatarFile, portrait: Image, clip: StoredClip | None = None) -> None:
    """Make `folder` hold the avatar, at once and whole. Raises `NameTaken` when there is one already."""
    with folder_beside(folder) as made:
        if clip is not None:
            (made / CLIP).write_bytes(clip.data)
            np.save(made / MOTION, clip.landmarks)
        (made / AVATAR_FILE).write_text(file.model_dump_json(), "utf-8")
        (made / PORTRAIT).write_bytes(cv2.imencode(".png", portrait)[1].tobytes())
        made.chmod(0o755)
        try:
            made.rename(folder)
        except OSError as error:
            raise NameTaken(f"There is an avatar {folder.name!r} already; choose another name.") from error


def stamp_of(path: Path) -> tuple[tuple[str, int, int], ...]:
    """Return what changes whenever the avatar at `path`, a folder or a picture, is changed."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    stats = [(file.name, file.stat()) for file in files]
    return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats)


def _read_layer(path: Path) -> tuple[Image, Matte]:
    """Return the colours and the opacity of a picture of ours."""
    pixels = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.ndim != 3:
        raise Unavailable(f"{path} is no picture in colour.")
    if pixels.shape[2] == 3:
        return pixels.astype(np.uint8, copy=False), np.full(pixels.shape[:2], 255, np.uint8)
    return np.ascontiguousarray(pixels[..., :3]), np.ascontiguousarray(pixels[..., 3])


def _read_motion(folder: Path) -> Motion:
    """Return the clip of an avatar; its landmarks stay on disk until they are looked at."""
    try:
        landmarks = np.load(folder / MOTION, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise Unavailable(f"The avatar in {folder} is broken: {MOTION} cannot be read; add its clip again.") from error
    if landmarks.ndim != 3 or landmarks.shape[1:] != (MESH_POINTS, 3):
        raise Unavailable(f"The avatar in {folder} is broken: {MOTION} holds something else; add its clip again.")
    return Motion(partial(read_frames, folder / CLIP), landmarks)


def _over(above: Image, opacity: Matte, below: Image) -> Image:
    """Lay one picture over another of the same size."""
    if above.shape != below.shape:
        raise Unavailable(f"The layers of an avatar differ in size: {above.shape[:2]} and {below.shape[:2]}.")
    share = opacity[..., None].astype(np.float32) / 255
    blended = above * share + below * (1 - share)
    return np.rint(blended).astype(np.uint8)


def digest_before(digest: str, colour: str) -> str:
    """Return the digest of the person of `digest` before a plane of `colour`, which may be empty."""
    return hashlib.sha256(f"{digest} {colour.lower()}".encode()).hexdigest() if colour else digest


def before(source: AvatarSource, colour: str) -> AvatarSource:
    """Return the person of `source` before a plane of `colour` (#rrggbb); as it is where that is empty.

    Raises `InvalidRequest` when the person is not cut out.
    """
    if not colour:
        return source
    if source.matte is None or source.background is None:
        raise InvalidRequest(
            f"background: {source.name} is not cut out of its picture; leave background out.", param="background"
        )
    bgr = np.frombuffer(bytes.fromhex(colour[1:])[::-1], np.uint8)
    behind = 1 - source.matte[..., None].astype(np.float32) / 255
    # Where hair is half transparent, the old background shines through and is taken out again.
    change = (bgr.astype(np.float32) - _middle(source.background, source.portrait)) * behind

    def changed(picture: Image) -> Image:
        return np.rint(picture + change).clip(0, 255).astype(np.uint8)

    return replace(
        source,
        portrait=changed(source.portrait),
        background=np.full_like(source.background, bgr),
        closed_eyes=None if source.closed_eyes is None else changed(source.closed_eyes),
        digest=digest_before(source.digest, colour),
        lasting=False,
    )


def _middle(background: Image, person: Image) -> Image:
    """Return the part of a wide background that stands behind the person."""
    height, width = person.shape[:2]
    scaled_width = round(background.shape[1] * height / background.shape[0])
    if scaled_width < width:
        raise Unavailable(f"The background of an avatar must be as wide as the person: {scaled_width} < {width}.")
    scaled = cv2.resize(background, (scaled_width, height), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    left = (scaled_width - width) // 2
    return np.ascontiguousarray(scaled[:, left : left + width])
