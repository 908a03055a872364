"""Finished films on disk: for ten minutes, or for good.

<folder>/realtime/    go by themselves
<folder>/saved/       stay
"""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

from services.contract.errors import InvalidRequest, NotFound, Unavailable
from services.contract.newavata import OutputFormat
from services.gateway.finish import write_whole

_log = logging.getLogger(__name__)

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
        """Keep a film, which is closed, under a name that begins like `title`.

        Raises `Unavailable` when the folder cannot be written.
        """
        words = re.sub(r"[^\w-]+", "", title)[:_TITLE_CHARS]
        name = f"{words}_{uuid.uuid4().hex[:8]}.{output_format}"
        folder = self._folder / (_SAVED if persist else _TEMPORARY)
        try:
            write_whole(film, folder / name)
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
        _, slash, name = unquote(urlsplit(video_url).path).rpartition("/video/")
        if not slash:
            raise InvalidRequest(f"video_url: {video_url!r} is no film of this server.", param="video_url")
        found = self.find(name)
        if found.persistent:
            return found
        saved = self._folder / _SAVED / name
        try:
            saved.parent.mkdir(parents=True, exist_ok=True)
            return Result(found.path.rename(saved), True)
        except FileNotFoundError as error:  # its time was over in this very moment
            raise NotFound(f"There is no film {name!r} any more.") from error
        except OSError as error:
            raise Unavailable(f"Films cannot be kept in {saved.parent}: {error.strerror}.") from error

    def remove_old(self) -> int:
        """Remove the films whose time is over, and return how many those are; what cannot be removed is logged."""
        folder = self._folder / _TEMPORARY
        old = [path for path in folder.iterdir() if not self._lives(path)] if folder.is_dir() else []
        for path in old:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                _log.warning("%s cannot be removed: %s", path, error.strerror)
        return len(old)

    def _lives(self, path: Path) -> bool:
        try:
            return self._now() - path.stat().st_mtime < self._kept_s
        except FileNotFoundError:
            return False
