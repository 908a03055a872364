"""The models folder: what lies there, and the lock file that says what it should be."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
from pydantic import BaseModel

from services.contract.errors import NotFound, Unavailable
from services.models.catalogue import Model
from services.models.download import Progress, digest_of, download
from services.models.source import Hub, Listing, RemoteFile

LOCK_FILE = "talkie-models.lock.json"
_TIMEOUT = httpx.Timeout(60.0, connect=10.0)
_SPARE_BYTES = 100 * 1024**2


class LockedFile(BaseModel):
    """A file as it was received."""

    size: int
    sha256: str


class LockedModel(BaseModel):
    """A model as it was received."""

    revision: str
    files: dict[str, LockedFile]
    """By path below the models folder."""


@dataclass(frozen=True)
class Finding:
    """What verifying found of one file; `problem` is empty when it is as it was received."""

    path: str
    problem: str = ""


class ModelStore:
    """Models below `folder`."""

    def __init__(self, folder: Path, endpoint: str = "https://huggingface.co", token: str = "") -> None:
        self._folder = folder
        self._endpoint, self._token = endpoint, token

    def is_here(self, model: Model) -> bool:
        """Whether all files of `model` lie here, by name and size."""
        locked = self._locks().get(model.name)
        return locked is not None and all(
            (self._folder / path).is_file() and (self._folder / path).stat().st_size == file.size
            for path, file in locked.files.items()
        )

    def fetch(self, model: Model, begin: Callable[[str], Progress]) -> LockedModel:
        """Fetch what is missing of `model`; `begin` is told of each file and gives what its progress is told.

        A model that was fetched before keeps the commit it had. Raises `NotFound` or `Unavailable`.
        """
        locked = self._locks().get(model.name)
        with httpx.Client(timeout=_TIMEOUT) as http:
            hub = Hub(http, self._endpoint, self._token)
            listing = hub.listing(model, locked.revision if locked else "")
            self._check_room(listing)
            wanted = [self._as_locked(file, model, locked) for file in listing.files]
            files = dict(self._fetched(http, hub, model, wanted, begin))
        fetched = LockedModel(revision=listing.revision, files=files)
        self._write_locks(self._locks() | {model.name: fetched})
        return fetched

    def verify(self, model: Model) -> Iterator[Finding]:
        """Yield a finding for each file of `model`; raises `NotFound` when it was never fetched."""
        locked = self._locks().get(model.name)
        if locked is None:
            raise NotFound(f"{model.name} was not fetched; run scripts/fetch-models {model.name}.")
        for path, file in locked.files.items():
            place = self._folder / path
            if not place.is_file():
                yield Finding(path, "missing")
            elif place.stat().st_size != file.size or digest_of(place) != file.sha256:
                yield Finding(path, "not as it was received")
            else:
                yield Finding(path)

    def _fetched(
        self, http: httpx.Client, hub: Hub, model: Model, files: Sequence[RemoteFile], begin: Callable[[str], Progress]
    ) -> Iterator[tuple[str, LockedFile]]:
        for file in files:
            path = f"{model.folder}/{file.path}"
            place = self._folder / path
            if not place.resolve().is_relative_to(self._folder.resolve()):
                raise Unavailable(f"The source names a file outside the models folder: {file.path}.")
            if file.sha256 is not None and place.is_file() and digest_of(place) == file.sha256:
                yield path, LockedFile(size=place.stat().st_size, sha256=file.sha256)
                continue
            headers = hub.headers if hub.is_hub(file.url) else {}
            size, digest = download(http, file, place, headers, begin(path))
            yield path, LockedFile(size=size, sha256=digest)

    @staticmethod
    def _as_locked(file: RemoteFile, model: Model, locked: LockedModel | None) -> RemoteFile:
        """Return `file` with the digest it had when it was fetched before, where the source tells none."""
        known = locked.files.get(f"{model.folder}/{file.path}") if locked else None
        return replace(file, sha256=known.sha256) if known and file.sha256 is None else file

    def _check_room(self, listing: Listing) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        needed = sum(file.size or 0 for file in listing.files)
        free = shutil.disk_usage(self._folder).free
        if needed + _SPARE_BYTES > free:
            raise Unavailable(f"{needed / 1e9:.1f} GB do not fit into the {free / 1e9:.1f} GB free at {self._folder}.")

    def _locks(self) -> dict[str, LockedModel]:
        path = self._folder / LOCK_FILE
        if not path.exists():
            return {}
        return {name: LockedModel.model_validate(entry) for name, entry in json.loads(path.read_text("utf-8")).items()}

    def _write_locks(self, locks: dict[str, LockedModel]) -> None:
        path = self._folder / LOCK_FILE
        draft = path.with_suffix(".part")
        draft.write_text(
            json.dumps({name: lock.model_dump() for name, lock in sorted(locks.items())}, indent=1), "utf-8"
        )
        draft.replace(path)
