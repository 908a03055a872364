"""Prepared avatars on disk: made once, shared by replicas, made anew when anything they are made of changes.

<folder>/<key>/manifest.json        what it was made of, and the digest of every shard: `Manifest`
               00000.safetensors    four seconds each, forward only; of long clips little is in memory
                 latents            [frames, 8, 32, 32]
                 boxes              [frames, 8] int32: the face's box, the mask's box
                 masks, mask_ends   opacities one after the other, and where each ends
                 pictures, picture_ends   PNG of a single frame, JPEG of many
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from services.avatar.digests import digest_of
from services.avatar.engine import FrameSize, Image, Tell, tell_nobody
from services.avatar.engines.musetalk.blending import Patch
from services.avatar.engines.musetalk.faces import FaceOptions
from services.avatar.engines.musetalk.track import Still
from services.avatar.folders import folder_beside
from services.contract.errors import Unavailable

_log = logging.getLogger(__name__)

FORMAT = 1
SHARD_FRAMES = 100

_MANIFEST = "manifest.json"
_ASK_AGAIN_S = 1.0
_JPEG_QUALITY = 95
_KEY_CHARS = 32


class Ingredients(BaseModel):
    """All that a pack depends on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = FORMAT
    engine: str
    avatar: str
    width: int
    height: int
    version: str
    options: dict[str, int | str]
    weights: str
    dtype: str

    @property
    def key(self) -> str:
        """Name of the pack."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:_KEY_CHARS]


class Shard(BaseModel):
    """A file of a pack."""

    model_config = ConfigDict(extra="forbid")

    file: str
    frames: int
    digest: str


class Manifest(BaseModel):
    """Content of `manifest.json`."""

    model_config = ConfigDict(extra="forbid")

    ingredients: Ingredients
    shards: list[Shard]


class _Corrupt(Exception):
    """A pack that cannot be used; the message says why."""


class Packs:
    """The packs of a folder; those used least recently make room for new ones."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder = folder
        self._most_bytes = most_bytes

    def get_or_make(
        self, made_of: Ingredients, stills: Callable[[], Generator[Still, None, None]], tell: Tell = tell_nobody
    ) -> Pack:
        """Return the pack of these ingredients, from the folder or made of `stills` first.

        One that is damaged is logged and made anew. While one process makes a pack, others wait for it,
        and `tell` so. Raises `Unavailable` when the folder cannot be written, and what `stills` raises.
        """
        place = self._folder / made_of.key
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with _locked(self._folder / f".{made_of.key}.lock", tell):
                if (kept := self._kept(place, made_of)) is not None:
                    return kept
                self._write(place, made_of, stills)
                self._make_room(place)
                return Pack(place, made_of)
        except OSError as error:
            raise Unavailable(
                f"Packs cannot be kept in {self._folder} ({error.strerror}); set AVATAR_PACK_DIR to a folder with room."
            ) from error

    def forget(self, avatar: str) -> None:
        """Remove the packs of the avatar with this digest."""
        for place in self._places():
            try:
                if _read_manifest(place).ingredients.avatar == avatar:
                    self._remove(place)
            except _Corrupt as error:
                _log.warning("the pack %s is damaged: %s", place, error)

    def _kept(self, place: Path, made_of: Ingredients) -> Pack | None:
        if not place.exists():
            return None
        try:
            pack = Pack(place, made_of)
        except _Corrupt as error:
            _log.warning("the pack %s is damaged and made anew: %s", place, error)
            shutil.rmtree(place)
            return None
        (place / _MANIFEST).touch()
        return pack

    def _make_room(self, newest: Path) -> None:
        """Remove the packs used least recently, as far as there is too much; never the newest."""
        places = sorted(self._places(), key=_used_at, reverse=True)
        held = 0
        for place in (newest, *(place for place in places if place != newest)):
            held += _bytes_of(place)
            if held > self._most_bytes and place != newest:
                _log.info("the pack %s makes room", place)
                self._remove(place)

    def _places(self) -> list[Path]:
        if not self._folder.is_dir():
            return []
        return [place for place in self._folder.iterdir() if place.is_dir() and not place.name.startswith(".")]

    def _remove(self, place: Path) -> None:
        shutil.rmtree(place, ignore_errors=True)  # another replica may be at it; who reads it keeps what is open
        (self._folder / f".{place.name}.lock").unlink(missing_ok=True)

    def _write(self, place: Path, made_of: Ingredients, stills: Callable[[], Generator[Still, None, None]]) -> None:
        with folder_beside(place) as made, closing(stills()) as frames:
            shards: list[Shard] = []
            while chunk := list(islice(frames, SHARD_FRAMES)):
                file = made / f"{len(shards):05d}.safetensors"
                save_file(_tensors(chunk, alone=not shards and len(chunk) == 1), file)
                shards.append(Shard(file=file.name, frames=len(chunk), digest=digest_of(file)))
            manifest = Manifest(ingredients=made_of, shards=shards)
            (made / _MANIFEST).write_text(manifest.model_dump_json(indent=1), "utf-8")
            made.chmod(0o755)
            made.rename(place)


class Pack:
    """A track on disk; frames are read when they are asked for."""

    def __init__(self, place: Path, made_of: Ingredients) -> None:
        manifest = _read_manifest(place)
        if manifest.ingredients != made_of or not manifest.shards:
            raise _Corrupt("it was made of something else")
        for shard in manifest.shards:
            if not (place / shard.file).is_file() or digest_of(place / shard.file) != shard.digest:
                raise _Corrupt(f"{shard.file} is missing or was changed")
        self._length = sum(shard.frames for shard in manifest.shards)
        self._shard_frames = manifest.shards[0].frames
        try:
            self._shards = [_OpenShard.open(place / shard.file) for shard in manifest.shards]
        except (SafetensorError, KeyError) as error:
            raise _Corrupt(str(error)) from error

    def __len__(self) -> int:
        return self._length

    def patch(self, place: int) -> Patch:
        shard, row = self._at(place)
        box = [int(edge) for edge in shard.boxes[row]]
        left, top, right, bottom = box[4:]
        mask = shard.ragged("masks", shard.mask_ends, row).reshape(bottom - top, right - left)
        return Patch((box[0], box[1], box[2], box[3]), (left, top, right, bottom), mask)

    def latents(self, place: int) -> Tensor:
        shard, row = self._at(place)
        latents: Tensor = shard.file.get_slice("latents")[row]
        return latents

    def picture(self, place: int) -> Image:
        shard, row = self._at(place)
        encoded = shard.ragged("pictures", shard.picture_ends, row)
        return cv2.imdecode(encoded, cv2.IMREAD_COLOR).astype(np.uint8, copy=False)  # type: ignore[union-attr]

    def _at(self, place: int) -> tuple[_OpenShard, int]:
        number, row = divmod(place, self._shard_frames)
        return self._shards[number], row


@dataclass(frozen=True)
class _OpenShard:
    file: Any
    boxes: npt.NDArray[np.int32]
    mask_ends: npt.NDArray[np.int64]
    picture_ends: npt.NDArray[np.int64]

    @classmethod
    def open(cls, path: Path) -> _OpenShard:
        file: Any = safe_open(path, "pt")
        return cls(file, *(file.get_tensor(name).numpy() for name in ("boxes", "mask_ends", "picture_ends")))

    def ragged(self, name: str, ends: npt.NDArray[np.int64], row: int) -> npt.NDArray[np.uint8]:
        """Return the bytes of one row."""
        start = int(ends[row - 1]) if row else 0
        row_bytes: npt.NDArray[np.uint8] = self.file.get_slice(name)[start : int(ends[row])].numpy()
        return row_bytes


@contextmanager
def _locked(path: Path, tell: Tell) -> Iterator[None]:
    """Hold the lock; `tell` is told every second while another process has it, and may end the wait."""
    lock = FileLock(path)
    while not lock.is_locked:
        try:
            lock.acquire(timeout=_ASK_AGAIN_S)
        except Timeout:
            tell("waiting", 0, 1)
    try:
        yield
    finally:
        lock.release()


def _used_at(place: Path) -> float:
    return (place / _MANIFEST).stat().st_mtime if (place / _MANIFEST).exists() else 0.0


def _bytes_of(place: Path) -> int:
    return sum(file.stat().st_size for file in place.iterdir()) if place.is_dir() else 0


def ingredients(
    avatar: str, size: FrameSize, options: FaceOptions, *, engine: str, version: str, weights: str, dtype: torch.dtype
) -> Ingredients:
    """Return what a pack of the avatar with this digest depends on."""
    return Ingredients(
        engine=engine,
        avatar=avatar,
        width=size.width,
        height=size.height,
        version=version,
        options=asdict(options),
        weights=weights,
        dtype=str(dtype),
    )


def _tensors(stills: Sequence[Still], *, alone: bool) -> dict[str, Tensor]:
    masks = [still.patch.mask.ravel() for still in stills]
    pictures = [_encoded(still.picture, lossless=alone) for still in stills]
    boxes = [(*still.patch.face_box, *still.patch.mask_box) for still in stills]
    return {
        "latents": torch.stack([still.latents for still in stills]),
        "boxes": torch.tensor(boxes, dtype=torch.int32),
        "masks": torch.from_numpy(np.concatenate(masks)),
        "mask_ends": torch.from_numpy(np.cumsum([mask.size for mask in masks])),
        "pictures": torch.from_numpy(np.concatenate(pictures)),
        "picture_ends": torch.from_numpy(np.cumsum([picture.size for picture in pictures])),
    }


def _encoded(picture: Image, *, lossless: bool) -> npt.NDArray[np.uint8]:
    if lossless:
        return cv2.imencode(".png", picture)[1].astype(np.uint8, copy=False)
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].astype(np.uint8, copy=False)


def _read_manifest(place: Path) -> Manifest:
    try:
        return Manifest.model_validate_json((place / _MANIFEST).read_bytes())
    except FileNotFoundError as error:
        raise _Corrupt(f"{_MANIFEST} is missing") from error
    except ValidationError as error:
        raise _Corrupt(f"{_MANIFEST}: {error.errors()[0]['msg']}") from error
