"""A small client for Python programs.

from services.client import Talkie

talkie = Talkie("http://localhost:8000")
wav = talkie.synthesize("Good morning!")
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import httpx
from pydantic import ValidationError

from services.contract.errors import Problem, RemoteError, ServiceError, problem_of

_TIMEOUT_S = 600.0


class Talkie:
    """The gateway at `url`. Every call returns WAV bytes, and raises `RemoteError` with what went wrong."""

    def __init__(self, url: str = "http://127.0.0.1:8000") -> None:
        self._url = url
        self._http = httpx.Client(base_url=url, timeout=_TIMEOUT_S)

    def __enter__(self) -> Talkie:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def synthesize(self, text: str, **fields: Any) -> bytes:
        """Return `text` spoken; `fields` are those of `POST /synthesize`."""
        made = _checked(self._http.post("/synthesize", json={"text": text} | fields)).json()
        return _checked(self._http.get(made["audio_url"])).content

    async def synthesize_async(self, text: str, **fields: Any) -> bytes:
        """Return `text` spoken, without blocking the event loop."""
        async with httpx.AsyncClient(base_url=self._url, timeout=_TIMEOUT_S) as http:
            made = _checked(await http.post("/synthesize", json={"text": text} | fields)).json()
            return _checked(await http.get(made["audio_url"])).content

    async def synthesize_parallel(self, texts: Sequence[str], most_at_once: int = 4, **fields: Any) -> list[bytes]:
        """Return each of `texts` spoken, several side by side, in their order."""
        free = asyncio.Semaphore(most_at_once)

        async def one(text: str) -> bytes:
            async with free:
                return await self.synthesize_async(text, **fields)

        return list(await asyncio.gather(*(one(text) for text in texts)))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.is_error:
        raise RemoteError(_problem(answer))
    return answer


def _problem(answer: httpx.Response) -> Problem:
    try:
        return Problem.model_validate_json(answer.content)
    except ValidationError:  # of a proxy in between
        return problem_of(ServiceError(f"{answer.url} answers {answer.status_code} {answer.reason_phrase}."))
