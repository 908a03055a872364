"""The server that speech is pushed to, and the connections to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio import fail_after
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidURI, WebSocketException
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from services.contract.errors import Unavailable
from services.contract.push import PHONE_HEADER, SESSION_HEADER, SUBPROTOCOL
from services.gateway.push.link import Acknowledge, Link, LinkLost
from services.gateway.push.messages import Session
from services.gateway.push.sizing import ChunkSize
from services.gateway.settings import GatewaySettings

_STILL_THERE_EVERY_S = 20.0
_FAILED = 1011
_NORMAL = 1000


class Target:
    """Gives each session a connection: all the same one where the server takes that, else one each."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._shared: Link | None = None
        self._shares: bool | None = None
        """Whether the server takes many sessions on one connection; None until it was asked."""
        self._asking = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def link(self, session: Session, acknowledge: Acknowledge) -> AsyncIterator[Link]:
        """Give a connection for as long as the block takes.

        Raises `LinkLost` where there can be none now, `Unavailable` where there will never be one.
        """
        link = await self._open(session)
        link.join(session.request_id, acknowledge)
        code = _FAILED
        try:
            yield link
            code = _NORMAL
        finally:
            link.leave(session.request_id)
            if link.unused:
                self._let_go(link, code)

    async def aclose(self) -> None:
        """Return when all connections that were let go are closed."""
        await asyncio.gather(*self._closing)

    async def _open(self, session: Session) -> Link:
        if self._shares is not False and (link := await self._shared_link(session)) is not None:
            return link
        return await self._own(session)

    async def _shared_link(self, session: Session) -> Link | None:
        """Return the connection for all, or the one that asks whether there is such; None where there is not."""
        try:
            with fail_after(self._settings.push_connect_timeout_s):
                await self._asking.acquire()
        except TimeoutError as error:
            raise LinkLost("the server did not answer in time") from error
        try:
            if self._shares is False:  # it became known while this waited
                return None
            if self._shared is None or self._shared.lost.done():
                link = await self._own(session)
                self._shared, self._shares = (link, True) if link.shared else (None, False)
                return link
            return self._shared
        finally:
            self._asking.release()

    async def _own(self, session: Session) -> Link:
        return self._linked(await self._connected(session))

    def _linked(self, connection: ClientConnection) -> Link:
        settings = self._settings
        size = ChunkSize(settings.push_chunk_bytes, settings.push_chunk_target_s, adapts=settings.push_adaptive)
        return Link(connection, size, settings.push_close_timeout_s)

    async def _connected(self, session: Session) -> ClientConnection:
        settings = self._settings
        headers = {PHONE_HEADER: session.phone_id, SESSION_HEADER: session.session_id}
        deflate = ClientPerMessageDeflateFactory(compress_settings={"level": 1, "memLevel": 5})
        try:
            uri = parse_uri(settings.push_websocket_url)
            return await connect(
                settings.push_websocket_url,
                # Named, because then no redirection leads to another server.
                host=uri.host,
                port=uri.port,
                proxy=None,
                additional_headers=headers,
                subprotocols=[Subprotocol(SUBPROTOCOL)],
                compression=None,
                extensions=[deflate] if settings.push_compression else None,
                open_timeout=settings.push_connect_timeout_s,
                # Keeps what lies between from forgetting the connection; who is silent for too long is our concern.
                ping_interval=_STILL_THERE_EVERY_S,
                ping_timeout=None,
                close_timeout=settings.push_close_timeout_s,
            )
        except InvalidURI as error:
            raise Unavailable("ORASERVER_WEBSOCKET_URL is no WebSocket URL; who runs this must correct it.") from error
        except WebSocketException as error:
            raise LinkLost(f"the server does not take the connection ({error})") from error
        except (OSError, asyncio.TimeoutError) as error:
            # Without its words, which tell addresses that are nobody else's business.
            raise LinkLost(f"the server cannot be reached ({type(error).__name__})") from error

    def _let_go(self, link: Link, code: int) -> None:
        if self._shared is link:
            self._shared = None
        closing = asyncio.create_task(link.close(code))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
