"""Requests to addresses that clients name, without becoming their way into private networks."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from urllib.parse import SplitResult, urlsplit

import httpx

from services.contract.errors import InvalidRequest

_PATIENCE_S = 5.0
_LOOKED_UP_AT_ONCE = 4
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


def is_any(address: str) -> bool:
    """Whether it is an address, which it always is: for who allows private ones."""
    return bool(address)


def _ascii(host: str) -> str:
    """Return a host's name as it is sent; raises `ValueError` for what can be none."""
    return host.encode("idna").decode() if host and not host.isascii() else host


class Outside:
    """Checks addresses. Every error names the field the URL came in."""

    def __init__(self, allowed: Callable[[str], bool] = is_public, schemes: tuple[str, ...] = ("https",)) -> None:
        self._allowed = allowed
        self._schemes = schemes
        # Names that are slow to look up keep each other waiting, and nobody else.
        self._threads = ThreadPoolExecutor(_LOOKED_UP_AT_ONCE, thread_name_prefix="lookup")

    async def check(self, url: str, param: str) -> None:
        """Raise `InvalidRequest` for a URL that is none, or whose host is not allowed."""
        async with httpx.AsyncClient(trust_env=False) as client:
            await self.request(client, "POST", url, param, headers={})

    async def request(
        self,
        client: httpx.AsyncClient,
        method: str,
        url: str,
        param: str,
        *,
        headers: Mapping[str, str],
        content: bytes = b"",
    ) -> httpx.Request:
        """Return a request to an address that has been checked: a second lookup could give another one.

        Raises `InvalidRequest`.
        """
        parts, address = await self._resolved(url, param)
        host = f"[{address}]" if ":" in address else address
        pinned = parts._replace(netloc=f"{host}:{parts.port}" if parts.port else host, fragment="").geturl()
        name = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else _ascii(parts.hostname or "")
        told = {**headers, "Host": f"{name}:{parts.port}" if parts.port else name}
        extensions = {"sni_hostname": name}
        try:
            return client.build_request(method, pinned, headers=told, content=content or None, extensions=extensions)
        except (httpx.InvalidURL, ValueError) as error:
            raise InvalidRequest(f"{param}: this is no URL ({error}).", param=param) from error

    async def _resolved(self, url: str, param: str) -> tuple[SplitResult, str]:
        try:
            parts = urlsplit(url)
            port = parts.port or (443 if parts.scheme.lower() == "https" else 80)
            _ascii(parts.hostname or "")
        except ValueError as error:
            raise InvalidRequest(f"{param}: this is no URL ({error}).", param=param) from error
        if parts.scheme.lower() not in self._schemes or not parts.hostname:
            raise InvalidRequest(f"{param}: URLs must begin with {self._schemes[0]}://.", param=param)
        return parts, await self._address(parts.hostname, port, param)

    async def _address(self, host: str, port: int, param: str) -> str:
        looking = asyncio.get_running_loop().run_in_executor(
            self._threads, partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        )
        try:
            found = await asyncio.wait_for(looking, _PATIENCE_S)
        except (OSError, UnicodeError, asyncio.TimeoutError) as error:
            raise InvalidRequest(f"{param}: there is no host {host}.", param=param) from error
        addresses = [str(entry[4][0]) for entry in found]
        if not all(self._allowed(address) for address in addresses):
            raise InvalidRequest(f"{param}: {host} is not on the public internet.", param=param)
        return addresses[0]
