"""Makes a finished MP4 of a film's fragments: the same pictures and sound, indexed at the front."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO

import av

_IN_MEMORY_BYTES = 8 * 1024 * 1024
"""Longer films go through a nameless file, so that memory does not grow with them and nothing is ever left."""

PIECE_BYTES = 256 * 1024
_INDEX_BYTES = 16 * 1024
_INDEX_BYTES_PER_PACKET = 16
"""Room for the index. A packet takes 4 bytes of sizes, and at most 12 more of times and offsets."""

FilmFile = IO[bytes]
"""A film from its first byte on; whoever has it closes it."""


async def gather(fragments: AsyncIterator[bytes]) -> FilmFile:
    """Return everything that `fragments` yields as one fragmented MP4."""
    with ExitStack() as unless_whole:
        film = unless_whole.enter_context(SpooledTemporaryFile(_IN_MEMORY_BYTES))
        async for fragment in fragments:
            film.write(fragment)
        film.seek(0)
        unless_whole.pop_all()
    return film


def faststart(fragments: FilmFile) -> FilmFile:
    """Return the fragmented MP4 as one that any player starts before it has all of it; closes `fragments`.

    Nothing is decoded. Blocking: a tenth of a second for a minute of film.
    """
    with fragments:
        # The index is written into room kept at the front: moving it there later would need a file to reopen.
        room = _INDEX_BYTES + _INDEX_BYTES_PER_PACKET * _count_packets(fragments)
        fragments.seek(0)
        return _remuxed(fragments, {"moov_size": str(room)})


def fragmented(film: FilmFile) -> FilmFile:
    """Return a finished MP4 in fragments, as `MediaSource` wants it; closes `film`. Nothing is decoded. Blocking."""
    return _remuxed(film, {"movflags": "empty_moov+default_base_moof+frag_keyframe"})


def _remuxed(source: FilmFile, options: dict[str, str]) -> FilmFile:
    with ExitStack() as unless_whole, source:
        finished = unless_whole.enter_context(SpooledTemporaryFile(_IN_MEMORY_BYTES))
        with (
            av.open(source, "r") as film,
            av.open(finished, "w", format="mp4", options={**options, "fflags": "+bitexact"}) as out,
        ):
            streams = {stream.index: out.add_stream_from_template(stream) for stream in film.streams}
            for packet in film.demux():
                if packet.dts is not None:
                    packet.stream = streams[packet.stream.index]
                    out.mux(packet)
        finished.seek(0)
        unless_whole.pop_all()
    return finished


def write_whole(film: FilmFile, path: Path) -> None:
    """Write a film, which is closed, so that nobody ever sees half of it at `path`. Raises `OSError`. Blocking."""
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    with film:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with unfinished.open("wb") as file:
                shutil.copyfileobj(film, file)
            unfinished.replace(path)
        except OSError:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)
            raise


def pieces(film: FilmFile) -> Iterator[bytes]:
    """Yield the film's bytes in pieces, and close it."""
    with film:
        while piece := film.read(PIECE_BYTES):
            yield piece


def size_bytes(film: FilmFile) -> int:
    """Return how long the film is."""
    size = film.seek(0, 2)
    film.seek(0)
    return size


def _count_packets(fragments: FilmFile) -> int:
    with av.open(fragments, "r") as film:
        return sum(1 for packet in film.demux() if packet.dts is not None)
