"""The avatars there are: shipped, added by users, or uploaded for one film."""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from services.avatar.artwork import (
    AVATAR_FILE,
    Avatar,
    AvatarFile,
    StoredClip,
    info_of,
    read_avatar,
    read_file,
    stamp_of,
    write_avatar,
)
from services.avatar.clips import ClipLimits, clip_info, is_clip, read_frames
from services.avatar.digests import digest_of
from services.avatar.engine import MOTION_FPS, AvatarSource, Image, Motion, Tell, tell_nobody
from services.avatar.face.types import FaceFinder
from services.avatar.images import picture_size
from services.avatar.lru import LruCache
from services.avatar.settings import AvatarSettings
from services.avatar.study import Scholar, Study
from services.contract.errors import InvalidRequest, NameTaken, NotFound, ServiceError, Unavailable
from services.contract.video import AvatarInfo

_log = logging.getLogger(__name__)

UPLOAD_PREFIX = "upload-"
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".mp4", ".mov", ".webm"})

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_FILE_NAME = re.compile(rf"{_NAME.pattern}(\.(png|jpe?g|webp|mp4|mov|webm))?", re.IGNORECASE)
_DIGEST_CHARS = 16
_NO_LICENCE = "Not stated"
_INFOS_KEPT = 256


@dataclass(frozen=True)
class Identity:
    """What tells one avatar from all others, and whether what is made of it may be kept on disk."""

    digest: str
    lasting: bool


class AvatarLibrary:
    """Finds avatars by name. A name is never a path. Blocking; safe to share between threads.

    The folder holds one folder per avatar, and pictures and clips: those have their faces found when
    they are first used. Uploads live in memory, the ones used last of them.
    """

    def __init__(self, settings: AvatarSettings, faces: FaceFinder) -> None:
        self._folder = settings.avatar_dir
        self._most_pixels = settings.max_picture_pixels
        self._clip_limits = ClipLimits(settings.max_picture_pixels, settings.longest_clip_s)
        self._scholar = Scholar(faces, self._clip_limits)
        self._kept: LruCache[object, Avatar] = LruCache(settings.sources_kept)
        self._infos: LruCache[object, AvatarInfo] = LruCache(_INFOS_KEPT)
        self._digests: LruCache[object, str] = LruCache(_INFOS_KEPT)
        self._uploads: LruCache[str, Avatar] = LruCache(settings.uploads_kept)

    def list(self) -> list[AvatarInfo]:
        """Return the avatars of the folder, by name. What is broken is left out and logged."""
        infos: list[AvatarInfo] = []
        for path in self._paths():
            try:
                info = self._info(path)
                infos.append(info.model_copy(update={"digest": self._digest(path)}))
            except (ServiceError, OSError) as error:
                _log.warning("avatar %s left out: %s", path.name, error)
        return infos

    def identify(self, name: str) -> Identity:
        """Return what tells the avatar `name` from others, without looking for its face.

        Raises `NotFound`, or `InvalidRequest` when `name` can be no avatar's.
        """
        if name.startswith(UPLOAD_PREFIX):
            return Identity(self.find(name).source.digest, lasting=False)
        return Identity(self._digest(self._path(name)), lasting=True)

    def find(self, name: str, tell: Tell = tell_nobody) -> Avatar:
        """Return the avatar `name`; the face of a clip of the folder is followed first, and `tell` told of it.

        Raises `NotFound`, `InvalidRequest` when `name` can be no avatar's, `UnsuitableFace` for a
        picture or clip of the folder that cannot be animated.
        """
        if name.startswith(UPLOAD_PREFIX):
            upload = self._uploads.get(name)
            if upload is None:
                raise _forgotten(name)
            return upload
        path = self._path(name)
        return self._kept.get_or_make((name, stamp_of(path)), lambda: self._read(path, tell))

    def preview(self, name: str) -> Image:
        """Return a picture of the avatar `name`; of a clip whose face was not followed yet, its first frame.

        Raises what `find` raises.
        """
        if not name.startswith(UPLOAD_PREFIX):
            path = self._path(name)
            seen = self._kept.get((name, stamp_of(path)))
            if seen is None and path.is_file() and is_clip(path):
                with closing(read_frames(path, self._clip_limits)) as frames:
                    return next(frames)
        return self.find(name).source.portrait

    def remember(self, data: bytes) -> Avatar:
        """Return an avatar of the uploaded picture, kept in memory only. The same picture has the same name.

        Raises `InvalidRequest` for a clip, and what `decode_picture` and the face finder raise.
        """
        if is_clip(data):
            raise InvalidRequest(
                "A clip takes long to prepare and is only taken to be kept: add it under a name, then ask for that.",
                param="picture",
            )
        digest = hashlib.sha256(data).hexdigest()
        name = f"{UPLOAD_PREFIX}{digest[:_DIGEST_CHARS]}"
        return self._uploads.get_or_make(name, lambda: self._from_upload(name, data, digest))

    def add(self, name: str, data: bytes, tell: Tell = tell_nobody) -> Avatar:
        """Keep the uploaded picture or clip as the avatar `name`; `tell` is told of the face of a clip.

        Raises `InvalidRequest` for a bad name, `NameTaken`, `Unavailable` when the folder is read-only,
        and what `Scholar.study` raises.
        """
        if _NAME.fullmatch(name) is None or name.startswith(UPLOAD_PREFIX):
            raise InvalidRequest(
                f"name: {name!r} cannot be an avatar's name: 1 to 64 letters, digits, - and _, "
                f"not starting with {UPLOAD_PREFIX}.",
                param="name",
            )
        if (self._folder / name).exists():
            raise NameTaken(f"There is an avatar {name!r} already; choose another name.")
        study = self._scholar.study(data, tell)
        file = AvatarFile(
            title=name,
            license=_NO_LICENCE,
            added=True,
            motion_s=study.motion_s,
            warnings=study.face.warnings,
            landmarks=tuple(map(tuple, study.face.landmarks.astype(float).round(2).tolist())),
        )
        clip = None if study.landmarks is None else StoredClip(data, study.landmarks)
        try:
            write_avatar(self._folder / name, file, study.picture, clip)
        except OSError as error:
            raise Unavailable(f"The avatar folder {self._folder} cannot be written: {error.strerror}.") from error
        return self.find(name)

    def remove(self, name: str) -> str:
        """Remove an avatar that was added, and return its digest.

        Raises `NotFound`, or `InvalidRequest` when it was not added by `add`.
        """
        folder = self._path(name)
        if not (folder / AVATAR_FILE).exists() or not read_file(folder).added:
            raise InvalidRequest(f"{name!r} was not added here, so it cannot be removed here.", param="name")
        digest = digest_of(folder)
        shutil.rmtree(folder)
        return digest

    def _digest(self, path: Path) -> str:
        return self._digests.get_or_make((path.name, stamp_of(path)), lambda: digest_of(path))

    def _path(self, name: str) -> Path:
        if _FILE_NAME.fullmatch(name) is None:
            raise InvalidRequest(f"{name!r} is no avatar name: letters, digits, - and _ only.", param="avatar")
        path = self._folder / name
        if not _is_avatar(path):
            raise NotFound(f"There is no avatar {name!r}; GET /v1/avatars lists them.", param="avatar")
        return path

    def _paths(self) -> Iterator[Path]:
        if not self._folder.is_dir():
            return
        for path in sorted(self._folder.iterdir()):
            if path.name.startswith(".") or not _is_avatar(path):  # hidden is what is still being written
                continue
            if _FILE_NAME.fullmatch(path.name):
                yield path
            else:
                _log.warning("avatar %r left out: a name is 1 to 64 letters from a to z, digits, - and _", path.name)

    def _info(self, path: Path) -> AvatarInfo:
        if path.is_dir():
            return info_of(path, read_file(path))
        seen = self._kept.get((path.name, stamp_of(path)))
        if seen is not None:
            return seen.info
        return self._infos.get_or_make((path.name, stamp_of(path)), lambda: self._looked_at(path))

    def _looked_at(self, path: Path) -> AvatarInfo:
        """Return what the headers of a picture or clip tell."""
        if is_clip(path):
            clip = clip_info(path, self._clip_limits)
            width, height, motion_s = clip.width, clip.height, clip.frames / MOTION_FPS
        else:
            (width, height), motion_s = picture_size(path.read_bytes(), self._most_pixels), 0.0
        return AvatarInfo(
            name=path.name, title=path.stem, license=_NO_LICENCE, width=width, height=height, motion_s=motion_s
        )

    def _read(self, path: Path, tell: Tell) -> Avatar:
        if path.is_dir():
            return read_avatar(path)
        study = self._scholar.study(path, tell)
        motion = None if study.landmarks is None else Motion(partial(read_frames, path), study.landmarks)
        source = AvatarSource(path.name, study.picture, study.face.landmarks, digest_of(path), motion=motion)
        return _avatar(source, path.stem, study)

    def _from_upload(self, name: str, data: bytes, digest: str) -> Avatar:
        study = self._scholar.study(data, tell_nobody)
        source = AvatarSource(name, study.picture, study.face.landmarks, digest, lasting=False)
        return _avatar(source, "Uploaded picture", study)


def _avatar(source: AvatarSource, title: str, study: Study) -> Avatar:
    height, width = source.portrait.shape[:2]
    info = AvatarInfo(
        name=source.name,
        title=title,
        license=_NO_LICENCE,
        width=width,
        height=height,
        motion_s=study.motion_s,
        warnings=list(study.face.warnings),
    )
    return Avatar(info, source)


def _is_avatar(path: Path) -> bool:
    if path.is_dir():
        return (path / AVATAR_FILE).is_file()
    return path.suffix.lower() in SUFFIXES and path.is_file()


def _forgotten(name: str) -> NotFound:
    return NotFound(f"The upload {name!r} is not remembered; send the picture again.", param="avatar")
