"""Asks a source which files a model has, of which size and digest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from services.contract.errors import NotFound, Unavailable
from services.models.catalogue import Model

_NOT_WEIGHTS = (".md", ".png", ".jpg", ".mp3", ".wav", ".gitattributes", ".pdf")


@dataclass(frozen=True)
class RemoteFile:
    """A file, and what is known of it before it is here."""

    path: str
    """Below the model's folder."""
    url: str
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Listing:
    """The files of a model at one commit."""

    revision: str
    files: tuple[RemoteFile, ...]


class Hub:
    """The Hugging Face Hub at `endpoint`, and files at URLs of their own."""

    def __init__(self, http: httpx.Client, endpoint: str, token: str = "") -> None:
        self._http = http
        self._endpoint = endpoint.rstrip("/")
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}
        """Sent to the hub only."""

    def listing(self, model: Model, revision: str = "") -> Listing:
        """Return the files of `model` at `revision`, by default its own; raises `NotFound` or `Unavailable`."""
        if not model.repository:
            known = model.sha256 or {}
            names = {url: url.rpartition("/")[2] for url in model.urls}
            files = tuple(RemoteFile(name, url, sha256=known.get(name)) for url, name in names.items())
            return Listing(model.revision, files)
        wanted = revision or model.revision
        commit = str(self._asked(f"/api/models/{model.repository}/revision/{wanted}")["sha"])
        below = f"/{model.below}" if model.below else ""
        entries = self._asked(f"/api/models/{model.repository}/tree/{commit}{below}?recursive=true")
        files = tuple(self._file(model, commit, entry) for entry in entries if _is_wanted(model, entry))
        if not files:
            raise NotFound(f"{model.repository} holds no files of {model.name}.")
        return Listing(commit, files)

    def is_hub(self, url: str) -> bool:
        """Whether `url` is the hub's."""
        return url.startswith(f"{self._endpoint}/")

    def _file(self, model: Model, commit: str, entry: dict[str, Any]) -> RemoteFile:
        path = str(entry["path"])
        large = entry.get("lfs") or {}
        return RemoteFile(
            path=path.removeprefix(f"{model.below}/") if model.below else path,
            url=f"{self._endpoint}/{model.repository}/resolve/{commit}/{path}",
            size=large.get("size", entry.get("size")),
            sha256=large.get("oid"),
        )

    def _asked(self, path: str) -> Any:
        try:
            answer = self._http.get(f"{self._endpoint}{path}", headers=self.headers)
        except httpx.TransportError as error:
            raise Unavailable(
                f"{self._endpoint} cannot be reached ({type(error).__name__}); HF_ENDPOINT can name a mirror."
            ) from error
        if answer.status_code in (401, 403):
            raise Unavailable(f"{path} needs a token; accept its terms on the hub and set HF_TOKEN.")
        if answer.status_code == 404:
            raise NotFound(f"{self._endpoint}{path} does not exist.")
        if answer.is_error:
            raise Unavailable(f"{self._endpoint} answers {answer.status_code}; try again later.")
        return answer.json()


def _is_wanted(model: Model, entry: dict[str, Any]) -> bool:
    if model.only and str(entry["path"]) not in model.only:
        return False
    return entry.get("type") == "file" and not str(entry["path"]).lower().endswith(_NOT_WEIGHTS)
