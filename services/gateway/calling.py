"""Asking a service of ours over HTTP: whichever of its replicas has the least to do."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
from pydantic import TypeAdapter, ValidationError

from services.chassis.logs import request_id
from services.chassis.problems import REQUEST_ID_HEADER
from services.contract.errors import AtCapacity, EngineFailed, Problem, RemoteError, ServiceError, Unavailable
from services.gateway.replicas import Replica, Replicas
from services.gateway.watching import Watch

CONNECT_TIMEOUT_S = 2.0
PATIENCE_S = 60.0
"""How long work that has begun waits for a lane: refused is who comes, not who was let in."""

_SILENCE_TIMEOUT_S = 120.0
_HEALTH_TIMEOUT_S = 3.0
_ASKED_AGAIN_S = 2.0
"""Pause of who waits for a lane: whoever kept away for as long as a full service says would find newcomers in it."""

_IDLE_S = 3.0
"""How long connections are kept without work. The services hang up after five seconds, and a request sent on
one in that very moment would break."""

_REASON = TypeAdapter(dict[str, str])


def _kept_alive() -> list[tuple[int, int, int]]:
    """Return the socket options by which a machine that vanished is noticed within twenty seconds.

    Keepalive asks one that is silent; it waits while something is on its way, for which there is a limit in ms.
    """
    options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    # Names that not every system has.
    wanted = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 20_000}
    return options + [
        (socket.IPPROTO_TCP, getattr(socket, name), value) for name, value in wanted.items() if hasattr(socket, name)
    ]


class ServiceClient:
    """One service over HTTP; its problems become errors of ours."""

    def __init__(self, name: str, urls: str) -> None:
        """`urls` is what `Replicas` takes."""
        self._name = name
        self.replicas = Replicas(name, urls)
        timeout = httpx.Timeout(_SILENCE_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=32, keepalive_expiry=_IDLE_S)
        transport = httpx.AsyncHTTPTransport(limits=limits, trust_env=False, socket_options=_kept_alive())
        self._http = httpx.AsyncClient(base_url=self.replicas.base_url, timeout=timeout, transport=transport)
        self._watch = Watch(self._lives)

    async def check_ready(self) -> None:
        """Return when one of the service is ready; raise `Unavailable` otherwise."""
        asking = [asyncio.create_task(self._readiness(replica)) for replica in await self.replicas.all()]
        refusal: ServiceError = Unavailable(f"There is no {self._name} service.")
        try:
            for answer in asyncio.as_completed(asking):
                if (refused := await answer) is None:
                    return
                refusal = refused
        finally:
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
        raise refusal

    async def _readiness(self, replica: Replica) -> ServiceError | None:
        """Return None when the replica is ready, else why it is not."""
        try:
            answer = await self._http.get(f"{replica.url}/health/ready", timeout=_HEALTH_TIMEOUT_S)
        except httpx.TransportError as error:
            return self._away(error)
        if answer.status_code == 200:
            return None
        try:
            reason = _REASON.validate_json(answer.content)["reason"]
        except (ValidationError, KeyError):
            reason = f"it answered {answer.status_code}"
        return Unavailable(f"The {self._name} service is not ready: {reason}")

    async def _lives(self, replica: Replica) -> bool:
        """Return whether the replica says that it goes on, whatever it may be busy with."""
        try:
            answer = await self._http.get(f"{replica.url}/health/live", timeout=_HEALTH_TIMEOUT_S)
        except httpx.TransportError:
            return False
        return answer.status_code != Unavailable.status

    async def aclose(self) -> None:
        """Close the connections."""
        await self._watch.aclose()
        await self.replicas.aclose()
        await self._http.aclose()

    @asynccontextmanager
    async def _answer(self, request: httpx.Request) -> AsyncIterator[httpx.Response]:
        """Send `request` and give its answer, unread; raises the service's problem."""
        request.headers[REQUEST_ID_HEADER] = request_id.get()
        async with self._opened(request) as (replica, answer):
            try:
                yield answer
            except httpx.TransportError as error:
                replica.failed()
                raise EngineFailed(f"The {self._name} service broke off in the middle; try again.") from error

    @asynccontextmanager
    async def _opened(self, request: httpx.Request) -> AsyncIterator[tuple[Replica, httpx.Response]]:
        """Send `request` to the replica with the least to do; one that is away or full passes it on to the next."""
        tried: list[Replica] = []
        refusal: ServiceError | None = None
        async with AsyncExitStack() as stack:
            while True:
                try:
                    replica = await self.replicas.pick(tried)
                except Unavailable as error:
                    raise refusal or error from error
                tried.append(replica)
                try:
                    answer = await stack.enter_async_context(self._asked(replica, request))
                    break
                except ServiceError as error:
                    if error.code not in (AtCapacity.code, Unavailable.code):
                        raise
                    # One that is full will have room; one that is away may not come back.
                    refusal = error if refusal is None or error.code == AtCapacity.code else refusal
            yield replica, answer

    @asynccontextmanager
    async def _asked(self, replica: Replica, request: httpx.Request) -> AsyncIterator[httpx.Response]:
        target = httpx.URL(replica.url)
        request.url = request.url.copy_with(scheme=target.scheme, host=target.host, port=target.port)
        with replica.exchange() as exchange:
            self._watch.over(replica)
            try:
                if exchange.trying and not await self._lives(replica):  # work would wait for it for longer
                    raise httpx.ReadTimeout("It does not say that it lives.")
                answer = await exchange.answer(self._http.send(request, stream=True))
                if answer.is_error:
                    await answer.aread()
            except httpx.TransportError as error:
                replica.failed()
                raise self._away(error) from error
            replica.succeeded()
            try:
                if answer.is_error:
                    raise self._problem(answer)
                yield answer
            finally:
                await answer.aclose()

    @asynccontextmanager
    async def _admitted(self, request: httpx.Request, patience_s: float) -> AsyncIterator[httpx.Response]:
        """Give the answer to `request`; while all lanes are busy, ask again for so long."""
        patient_until = time.monotonic() + patience_s
        async with AsyncExitStack() as stack:
            while True:
                try:
                    answer = await stack.enter_async_context(self._answer(request))
                    break
                except ServiceError as error:
                    left_s = patient_until - time.monotonic()
                    if error.code != AtCapacity.code or left_s <= 0:
                        raise
                    await asyncio.sleep(min(error.retry_after_s or 1, _ASKED_AGAIN_S, left_s))
            yield answer

    async def _read(self, request: httpx.Request) -> httpx.Response:
        async with self._answer(request) as answer:
            await answer.aread()
            return answer

    async def _everywhere(self, method: str, path: str) -> list[bytes]:
        """Ask all replicas; raises what the first one that fails tells."""
        answers: list[bytes] = []
        for replica in await self.replicas.all():
            async with self._asked(replica, self._http.build_request(method, path)) as answer:
                answers.append(await answer.aread())
        return answers

    async def _get(self, path: str) -> bytes:
        return (await self._read(self._http.build_request("GET", path))).content

    def _away(self, error: httpx.TransportError) -> Unavailable:
        return Unavailable(
            f"The {self._name} service at {self._http.base_url} does not answer ({type(error).__name__}).",
            retry_after_s=2,
        )

    def _problem(self, answer: httpx.Response) -> ServiceError:
        try:
            problem = Problem.model_validate_json(answer.content)
        except ValidationError:
            return EngineFailed(f"The {self._name} service answered {answer.status_code} without saying why.")
        retry_after = answer.headers.get("Retry-After", "")
        return RemoteError(problem, int(retry_after) if retry_after.isdigit() else None)
