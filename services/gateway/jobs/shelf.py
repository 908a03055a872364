"""Finished films of jobs, on a folder that gateways and workers share."""

from __future__ import annotations

from pathlib import Path

from services.contract.errors import Unavailable
from services.gateway.finish import FilmFile, write_whole


class FilmShelf:
    """Films by the id of their job. Blocking."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "jobs"

    def keep(self, job_id: str, film: FilmFile) -> None:
        """Keep a film, which is closed; one of the same job is replaced. Raises `Unavailable`."""
        try:
            write_whole(film, self.path(job_id))
        except OSError as error:
            reason = f"Films cannot be kept in {self._folder}: {error.strerror}; set VIDEO_OUTPUT_DIR."
            raise Unavailable(reason) from error

    def path(self, job_id: str) -> Path:
        """Return where the film of a job lies, if it is there."""
        return self._folder / f"{job_id}.mp4"

    def remove(self, job_id: str) -> None:
        """Remove a film, if there is one."""
        self.path(job_id).unlink(missing_ok=True)
