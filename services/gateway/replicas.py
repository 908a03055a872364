"""The replicas of a service: found by name or in a list, chosen by least load, left alone while they fail."""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

from services.chassis.breaker import Breaker
from services.contract.errors import Unavailable
from services.gateway.exchange import Exchange

_log = logging.getLogger(__name__)

_LOOKED_UP_EVERY_S = 3.0


class Replica:
    """One of them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.exchanges: set[Exchange] = set()
        self.breaker = Breaker()

    def to_be_asked(self) -> bool:
        """Return whether all is well with it, or it is time for one try, which nobody makes already."""
        if self.breaker.closed:
            return True
        return not any(exchange.trying for exchange in self.exchanges) and self.breaker.allows()

    @contextmanager
    def exchange(self) -> Iterator[Exchange]:
        """Give an exchange that counts as load until the block ends."""
        exchange = Exchange(trying=not self.breaker.closed)
        self.exchanges.add(exchange)
        try:
            yield exchange
        finally:
            self.exchanges.discard(exchange)

    def failed(self) -> None:
        """Say that it did not answer, or broke off."""
        if self.breaker.failed():
            _log.warning("%s is left alone: it failed", self.url)

    def succeeded(self) -> None:
        """Say that it answered."""
        if self.breaker.succeeded():
            _log.info("%s is back", self.url)


class Replicas:
    """All of one service.

    `urls` are separated by commas. A host name of plain http stands for all addresses it has, looked up
    every few seconds: that is how replicas come and go under Compose and Kubernetes.
    """

    def __init__(self, service: str, urls: str) -> None:
        self._service = service
        self._urls = [url.strip().rstrip("/") for url in urls.split(",") if url.strip()]
        self._known: dict[str, Replica] = {}
        self._addresses: dict[str, list[str]] = {}
        self._looked_up_at = float("-inf")
        self._looking: asyncio.Task[None] | None = None
        self._turns = itertools.count()

    @property
    def base_url(self) -> str:
        """The first URL as it was given."""
        return self._urls[0] if self._urls else ""

    async def all(self) -> Sequence[Replica]:
        """Return those there are."""
        if time.monotonic() - self._looked_up_at > _LOOKED_UP_EVERY_S and self._looking is None:
            self._looking = asyncio.create_task(self._look_up())
        if not self._known and self._looking is not None:  # later ones go on with those that are known
            await asyncio.shield(self._looking)
        return list(self._known.values())

    async def aclose(self) -> None:
        """Stop looking."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def pick(self, tried: Collection[Replica] = ()) -> Replica:
        """Return the one with the least to do that is not in `tried`; raises `Unavailable` when none is left.

        Those that failed are asked first when it is time to try them again, by one request at a time.
        """
        known = await self.all()
        left = [replica for replica in known if replica not in tried]
        turn = next(self._turns) % max(1, len(left))
        in_turn = left[turn:] + left[:turn]
        for replica in sorted(in_turn, key=lambda one: (one.breaker.closed, len(one.exchanges))):
            if len(known) == 1 or replica.to_be_asked():
                return replica
        raise Unavailable(f"No replica of the {self._service} service at {self.base_url} answers.", retry_after_s=2)

    async def _look_up(self) -> None:
        try:
            for url in self._urls:
                # Asking an unknown name tells why; one that was known is not forgotten with its name server.
                self._addresses[url] = await _addresses(url) or self._addresses.get(url, [url])
            addresses = [address for url in self._urls for address in self._addresses[url]]
            self._known = {address: self._known.get(address) or Replica(address) for address in addresses}
        finally:
            self._looked_up_at, self._looking = time.monotonic(), None


async def _addresses(url: str) -> list[str]:
    """Return `url` for each address of its host, none where it has none.

    A certificate is for the name, so https keeps it.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        return [url]
    try:
        entries = await asyncio.get_running_loop().getaddrinfo(
            parts.hostname, parts.port or 80, type=socket.SOCK_STREAM
        )
    except OSError:
        return []
    found = dict.fromkeys((entry[0], str(entry[4][0])) for entry in entries)
    # A name's other family is the same machine once more.
    family = socket.AF_INET if any(kind == socket.AF_INET for kind, _ in found) else socket.AF_INET6
    hosts = [f"[{address}]" if ":" in address else address for kind, address in found if kind == family]
    return [parts._replace(netloc=f"{host}:{parts.port}" if parts.port else host).geturl() for host in hosts]
