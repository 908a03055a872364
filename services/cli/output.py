"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from services.contract.errors import InvalidRequest


@contextmanager
def whole_or_not_at_all(path: Path) -> Iterator[IO[bytes]]:
    """Give a file that takes the place of `path` when the block ends well, and is gone when it does not.

    Raises `InvalidRequest` before any work is done when nothing can be written there.
    """
    place = path.resolve()
    if place.exists() and not place.is_file():
        raise InvalidRequest(f"{path} is not a file that could be replaced; name another one.", param="out")
    part = place.with_name(f".{place.name}.{os.getpid()}.part")
    try:
        file = part.open("wb")
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be written: {error.strerror}.", param="out") from error
    try:
        with file:
            yield file
        part.replace(place)
    finally:
        part.unlink(missing_ok=True)
