"""Fetches audio from URLs that clients name."""

from __future__ import annotations

from urllib.parse import urljoin

import httpx
from anyio import fail_after

from services.contract.errors import InvalidRequest, TooLarge, Unavailable
from services.gateway.outside import Outside

_TIMEOUT_S = 10.0
_LARGEST_BYTES = 20 * 1024**2
_MOST_REDIRECTS = 3
_PARAM = "ref_audio"


class AudioFetcher:
    """Fetches from where `outside` allows; redirects are followed under the same rules."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside

    async def fetch(self, url: str) -> bytes:
        """Return what is at `url`.

        Raises `InvalidRequest` for an address that is not allowed, `TooLarge`, and `Unavailable`
        when the other side fails.
        """
        try:
            with fail_after(_TIMEOUT_S):
                async with httpx.AsyncClient(trust_env=False, timeout=_TIMEOUT_S) as client:
                    for _ in range(_MOST_REDIRECTS + 1):
                        found = await self._step(client, url)
                        if isinstance(found, bytes):
                            return found
                        url = found
        except (ValueError, httpx.InvalidURL) as error:
            raise InvalidRequest(f"ref_audio: this is no URL ({error}).", param=_PARAM) from error
        except (httpx.HTTPError, TimeoutError) as error:
            raise Unavailable(f"ref_audio: {url} cannot be fetched ({type(error).__name__}).") from error
        raise InvalidRequest("ref_audio: the URL redirects too often.", param=_PARAM)

    async def _step(self, client: httpx.AsyncClient, url: str) -> bytes | str:
        """Return the content of `url`, or where it redirects to."""
        headers = {"Accept": "audio/*, */*;q=0.1", "Accept-Encoding": "identity"}
        request = await self._outside.request(client, "GET", url, _PARAM, headers=headers)
        answer = await client.send(request, stream=True, follow_redirects=False)
        try:
            if answer.is_redirect:
                return urljoin(url, str(answer.headers.get("Location", "")))
            if answer.is_error:
                raise InvalidRequest(f"ref_audio: {url} answers {answer.status_code}.", param=_PARAM)
            return await _limited(answer)
        finally:
            await answer.aclose()


async def _limited(answer: httpx.Response) -> bytes:
    if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
        # A few bytes can unpack to gigabytes; audio is compressed by itself.
        raise InvalidRequest("ref_audio: the URL answers with compressed content.", param=_PARAM)
    content = bytearray()
    async for piece in answer.aiter_raw():
        content += piece
        if len(content) > _LARGEST_BYTES:
            raise TooLarge(f"ref_audio: more than {_LARGEST_BYTES // 1024**2} MiB; send a shorter clip.")
    return bytes(content)
