"""Real uvicorn servers: one that owns the process, or several inside one."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from services.chassis.logs import configure_logging
from services.chassis.settings import ServiceSettings
from services.contract.errors import Unavailable

_LARGEST_MESSAGE_BYTES = 8 * 1024**2
"""Of a WebSocket; a larger one closes the connection unread."""

_TAKES_NOTHING_S = 60.0
"""A WebSocket that is over is cut when its client takes in nothing of what is left for so long."""

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _WebSocket(WebSocketsSansIOProtocol):
    """A WebSocket that ends: uvicorn would keep one that is over until its client has taken in what is left."""

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """Take note that the app is done with it."""
        super().on_task_complete(task)
        self._cut_unless_taken()

    def _cut_unless_taken(self, left_before: int = 0) -> None:
        left = self.transport.get_write_buffer_size()
        if left and left == left_before:
            self.transport.abort()
        elif left:
            self.loop.call_later(_TAKES_NOTHING_S, self._cut_unless_taken, left)


class LoopbackServer(uvicorn.Server):
    """A server whose host process owns the signals; uvicorn's own handling would skip inner shutdowns.

    `settled` is set once it listens, or never will.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.settled = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, or raise `Unavailable`; uvicorn would end the whole process here."""
        try:
            await super().startup(sockets)
        except SystemExit as error:
            if self.lifespan.should_exit:
                raise Unavailable("The service could not start; the log has the details.") from error
            address = f"{self.config.host}:{self.config.port}"
            raise Unavailable(f"{address} is taken, or no address of this machine; choose another.") from error
        self.settled.set()


@asynccontextmanager
async def serve(app: ASGIApp, settings: ServiceSettings) -> AsyncIterator[str]:
    """Serve `app` until the block ends and yield its base URL. Requests in flight are finished first.

    Raises `Unavailable` when the app or its socket cannot start.
    uvicorn binds the port itself: a socket bound by us would keep Nagle's delay on (44 ms a request).
    """
    server = LoopbackServer(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            ws=_WebSocket,
            # Sound and film are packed already; packing them again takes time, and memory for each connection.
            ws_per_message_deflate=False,
            ws_max_size=_LARGEST_MESSAGE_BYTES,
            timeout_graceful_shutdown=int(settings.drain_s),
        )
    )
    running = asyncio.create_task(server.serve())
    running.add_done_callback(lambda _: server.settled.set())
    try:
        await server.settled.wait()
        if running.done():
            await running
            raise Unavailable("The service ended before it had begun; the log has the details.")
        host, port = server.servers[0].sockets[0].getsockname()[:2]
        yield f"http://{host}:{port}"
    finally:
        # Half a start cannot be undone in order, so one that is interrupted is finished first.
        await server.settled.wait()
        server.should_exit = True
        await running


async def until_signal() -> None:
    """Return at the first SIGINT or SIGTERM. The second ends the process at once, whatever is in flight."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
    for number in _STOP_SIGNALS:
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_DFL)


def run_quickly(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` on uvloop, which serves more requests; uvicorn brings it along wherever there is one."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(work)
    else:
        uvloop.run(work)


def run_service(app: ASGIApp, settings: ServiceSettings) -> None:
    """Serve `app` as this process's only job, until a signal; work in flight is drained."""

    async def run() -> None:
        async with serve(app, settings):
            await until_signal()

    configure_logging(settings.log_level)
    run_quickly(run())
