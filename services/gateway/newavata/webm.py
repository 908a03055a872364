"""MP4 to WebM, by ffmpeg in a process of its own."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

from anyio import to_thread
from imageio_ffmpeg import get_ffmpeg_exe

from services.contract.errors import EngineFailed
from services.gateway.finish import FilmFile

_VIDEO = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-row-mt", "1", "-crf", "30", "-b:v", "0")
_SOUND = ("-c:a", "libopus", "-b:a", "96k")
_LONGEST_S = 3600.0


async def webm_of(film: FilmFile) -> FilmFile:
    """Return the film as VP9 and Opus; closes `film`. Cancelling this ends the process."""
    with film, ExitStack() as unless_whole:
        converted = unless_whole.enter_context(tempfile.TemporaryFile())
        with tempfile.TemporaryDirectory() as folder:
            await _convert(film, Path(folder), converted)
        unless_whole.pop_all()
    return converted


async def _convert(film: FilmFile, folder: Path, converted: FilmFile) -> None:
    source, result = folder / "film.mp4", folder / "film.webm"
    await to_thread.run_sync(_copy_to_path, film, source)
    command = (get_ffmpeg_exe(), "-v", "error", "-i", str(source), *_VIDEO, *_SOUND, str(result))
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    try:
        _, told = await asyncio.wait_for(process.communicate(), _LONGEST_S)
    except asyncio.TimeoutError as error:
        raise EngineFailed("The film could not be made a WebM in time; ask for mp4.") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise EngineFailed(f"The film could not be made a WebM: {told.decode(errors='replace')[:200]}")
    await to_thread.run_sync(_copy_from_path, result, converted)


def _copy_to_path(film: FilmFile, path: Path) -> None:
    with path.open("wb") as file:
        shutil.copyfileobj(film, file)


def _copy_from_path(path: Path, converted: FilmFile) -> None:
    with path.open("rb") as file:
        shutil.copyfileobj(file, converted)
    converted.seek(0)
