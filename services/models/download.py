"""Downloads one file: resumed where it broke off, checked, and in place only when it is whole."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx

from services.contract.errors import NotFound, Unavailable
from services.models.source import RemoteFile

Progress = Callable[[int, int | None], None]
"""Told the bytes that are here, and how many there will be, if known."""

_CHUNK_BYTES = 1024**2
_PATIENCE_S = (0.5, 2.0, 8.0)
"""Waits before the next attempt."""

_HTTP_RANGE_NOT_SATISFIABLE = 416


def download(
    http: httpx.Client, file: RemoteFile, place: Path, headers: Mapping[str, str], progress: Progress
) -> tuple[int, str]:
    """Fetch `file` to `place`, and return its size and SHA-256. Raises `NotFound` or `Unavailable`."""
    part = place.with_name(f"{place.name}.part")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        for patience_s in (*_PATIENCE_S, None):
            try:
                _append(http, file, part, headers, progress)
                break
            except httpx.TransportError as error:
                if patience_s is None:
                    raise Unavailable(
                        f"{file.url} broke off {len(_PATIENCE_S) + 1} times ({type(error).__name__}); "
                        "run it again to go on from there."
                    ) from error
                time.sleep(patience_s)
        size, digest = _checked(file, part)
        part.replace(place)
    except OSError as error:
        raise Unavailable(f"{place} cannot be written: {error.strerror}.") from error
    return size, digest


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(_CHUNK_BYTES):
            digest.update(data)
    return digest.hexdigest()


def _append(http: httpx.Client, file: RemoteFile, part: Path, headers: Mapping[str, str], progress: Progress) -> None:
    """Fetch what is missing of `part`."""
    here = part.stat().st_size if part.exists() else 0
    if file.size is not None and here == file.size:
        return
    ranged = dict(headers) | ({"Range": f"bytes={here}-"} if here else {})
    with http.stream("GET", file.url, headers=ranged, follow_redirects=True) as answer:
        if answer.status_code == _HTTP_RANGE_NOT_SATISFIABLE:
            return  # there is no more of it; whether it is whole, the check will tell
        _raise_for(answer, file.url)
        resumed = answer.status_code == httpx.codes.PARTIAL_CONTENT
        here = here if resumed else 0
        length = answer.headers.get("Content-Length", "")
        total = file.size or (here + int(length) if length.isdigit() else None)
        with part.open("ab" if resumed else "wb") as out:
            for data in answer.iter_bytes():  # in pieces as they come, so that a broken connection loses none
                out.write(data)
                here += len(data)
                progress(here, total)
    if total is not None and here < total:
        raise httpx.ReadError("the answer ended early")


def _checked(file: RemoteFile, part: Path) -> tuple[int, str]:
    size, digest = part.stat().st_size, digest_of(part)
    if (file.size is not None and size != file.size) or (file.sha256 is not None and digest != file.sha256):
        part.unlink()
        raise Unavailable(f"{file.url} is not the file it should be (size or SHA-256 differ); it was removed.")
    return size, digest


def _raise_for(answer: httpx.Response, url: str) -> None:
    if answer.status_code == httpx.codes.NOT_FOUND:
        raise NotFound(f"{url} does not exist.")
    if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise Unavailable(f"{url} needs a token; accept its terms on the hub and set HF_TOKEN.")
    if answer.is_error:
        raise Unavailable(f"{url} answers {answer.status_code}; try again later.")
