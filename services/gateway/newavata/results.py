"""Finished films on disk: for ten minutes, or for good.

<folder>/realtime/    go by themselves
<folder>/saved/       stay
"""

from __future__ import annotations

import re
import shutil
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from services.contract.errors import InvalidRequest, NotFound, Unavailable
from services.contract.newavata import OutputFormat

_TEMPORARY, _SAVED = "realtime", "saved"
_NAME = re.compile(r"[\w-]{0,10}_[0-9a-f]{8}\.(mp4|webm)")
_TITLE_CHARS = 10


@dataclass(frozen=True)
class Result:
    """A film that can be fetched."""

    path: Path
    persistent: bool


class Results:
    """Films by name. A name is never a path. Blocking."""

    def __init__(self, folder: Path, kept_s: float, now: Callable[[], float] = time.time) -> None:
        self._folder = folder
        self._kept_s = kept_s
        self._now = now

    def keep(self, film: IO[bytes], title: str, output_format: OutputFormat, *, persist: bool) -> Result:
        """Keep a film under a name that begins like `title`; raises `Unavailable` when the folder cannot be written."""
        words = re.sub(r"[^\w-]+", "", title)[:_TITLE_CHARS]
        name = f"{words}_{uuid.uuid4().hex[:8]}.{output_format}"
        folder = self._folder / (_SAVED if persist else _TEMPORARY)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            unfinished = folder / f".{name}"
            with unfinished.open("wb") as file:
                shutil.copyfileobj(film, file)
            unfinished.rename(folder / name)
        except OSError as error:
            raise Unavailable(f"Films cannot be kept in {folder}: {error.strerror}; set VIDEO_OUTPUT_DIR.") from error
        return Result(folder / name, persist)

    def find(self, name: str) -> Result:
        """Return the film `name`; raises `NotFound`, for one whose time is over too."""
        if _NAME.fullmatch(name):
            if (saved := self._folder / _SAVED / name).is_file():
                return Result(saved, True)
            if self._lives(temporary := self._folder / _TEMPORARY / name):
                return Result(temporary, False)
        raise NotFound(f"There is no film {name!r}; those that were not saved go after {self._kept_s / 60:g} minutes.")

    def save(self, video_url: str) -> Result:
        """Keep the film behind a URL of ours for good; raises `NotFound`."""
        _, slash, name = video_url.rpartition("/video/")
        if not slash:
            raise InvalidRequest(f"video_url: {video_url!r} is no film of this server.", param="video_url")
        found = self.find(name)
        if found.persistent:
            return found
        saved = self._folder / _SAVED / name
        saved.parent.mkdir(parents=True, exist_ok=True)
        return Result(found.path.rename(saved), True)

    def remove_old(self) -> int:
        """Remove the films whose time is over, and return how many."""
        folder = self._folder / _TEMPORARY
        old = [path for path in folder.iterdir() if not self._lives(path)] if folder.is_dir() else []
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)

    def _lives(self, path: Path) -> bool:
        try:
            return self._now() - path.stat().st_mtime < self._kept_s
        except FileNotFoundError:
            return False
