"""Fetches audio from URLs that clients name, without becoming their way into private networks."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from urllib.parse import urljoin, urlsplit

import httpx
from anyio import fail_after

from services.contract.errors import InvalidRequest, TooLarge, Unavailable

_TIMEOUT_S = 10.0
_LARGEST_BYTES = 20 * 1024**2
_MOST_REDIRECTS = 3
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NEVER_PUBLIC = (ipaddress.IPv6Network("64:ff9b:1::/48"), ipaddress.IPv6Network("::/96"))
"""Translated within a network, and IPv4 addresses written as IPv6 ones."""


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet."""
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed in _NAT64:
            return is_public(str(ipaddress.IPv4Address(parsed.packed[-4:])))
        if parsed.is_site_local or any(parsed in network for network in _NEVER_PUBLIC):
            return False
        if (inner := parsed.ipv4_mapped or parsed.sixtofour) is not None:
            return is_public(str(inner))
    return parsed.is_global and not parsed.is_multicast


class AudioFetcher:
    """Fetches over https from public addresses; redirects are followed under the same rules."""

    def __init__(self, allowed: Callable[[str], bool] = is_public, schemes: tuple[str, ...] = ("https",)) -> None:
        self._allowed = allowed
        self._schemes = schemes

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
            raise InvalidRequest(f"ref_audio: this is no URL ({error}).", param="ref_audio") from error
        except (httpx.HTTPError, TimeoutError) as error:
            raise Unavailable(f"ref_audio: {url} cannot be fetched ({type(error).__name__}).") from error
        raise InvalidRequest("ref_audio: the URL redirects too often.", param="ref_audio")

    async def _step(self, client: httpx.AsyncClient, url: str) -> bytes | str:
        """Return the content of `url`, or where it redirects to."""
        request = await self._request(client, url)
        answer = await client.send(request, stream=True, follow_redirects=False)
        try:
            if answer.is_redirect:
                return urljoin(url, str(answer.headers.get("Location", "")))
            if answer.is_error:
                raise InvalidRequest(f"ref_audio: {url} answers {answer.status_code}.", param="ref_audio")
            return await _limited(answer)
        finally:
            await answer.aclose()

    async def _request(self, client: httpx.AsyncClient, url: str) -> httpx.Request:
        """Return a request to an address that has been checked: a second lookup could give another one."""
        parts = urlsplit(url)
        if parts.scheme.lower() not in self._schemes or not parts.hostname:
            raise InvalidRequest(f"ref_audio: URLs must begin with {self._schemes[0]}://.", param="ref_audio")
        address = await self._address(parts.hostname, parts.port or 443)
        host = f"[{address}]" if ":" in address else address
        netloc = f"{host}:{parts.port}" if parts.port else host
        pinned = parts._replace(netloc=netloc, fragment="").geturl()
        headers = {
            "Host": parts.netloc.rpartition("@")[2],
            "Accept": "audio/*, */*;q=0.1",
            "Accept-Encoding": "identity",
        }
        return client.build_request("GET", pinned, headers=headers, extensions={"sni_hostname": parts.hostname})

    async def _address(self, host: str, port: int) -> str:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise InvalidRequest(f"ref_audio: there is no host {host}.", param="ref_audio") from error
        addresses = [str(entry[4][0]) for entry in found]
        if not all(self._allowed(address) for address in addresses):
            raise InvalidRequest(f"ref_audio: {host} is not on the public internet.", param="ref_audio")
        return addresses[0]


async def _limited(answer: httpx.Response) -> bytes:
    if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
        # A few bytes can unpack to gigabytes; audio is compressed by itself.
        raise InvalidRequest("ref_audio: the URL answers with compressed content.", param="ref_audio")
    content = bytearray()
    async for piece in answer.aiter_raw():
        content += piece
        if len(content) > _LARGEST_BYTES:
            raise TooLarge(f"ref_audio: more than {_LARGEST_BYTES // 1024**2} MiB; send a shorter clip.")
    return bytes(content)
