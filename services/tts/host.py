"""The process around one engine: `python -m services.tts.host FILE_DESCRIPTOR`, started by the service."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from multiprocessing.connection import Connection

from services.chassis.logs import configure_logging
from services.contract.errors import EngineFailed, ServiceError
from services.tts.engine import SpeechEngine
from services.tts.hosting import (
    Answered,
    Chunk,
    Ended,
    Failed,
    Introduction,
    Order,
    Reply,
    pack_reply,
    unpack_order,
)
from services.tts.registry import MAKERS
from services.tts.settings import TtsSettings

_MOST_AT_ONCE = 256


class Host:
    """Carries out orders, many at once, until the service hangs up."""

    def __init__(self, connection: Connection, engine: SpeechEngine) -> None:
        self._connection = connection
        self._engine = engine
        self._send_lock = threading.Lock()
        self._stopped: dict[int, threading.Event] = {}
        self._threads = ThreadPoolExecutor(_MOST_AT_ONCE, thread_name_prefix="order")

    def run(self) -> None:
        """Return when the service has hung up."""
        while True:
            try:
                number, order = unpack_order(self._connection.recv_bytes())
            except (EOFError, OSError):
                return
            if order.do == "stop":
                if (stopped := self._stopped.get(number)) is not None:
                    stopped.set()
                continue
            self._stopped[number] = threading.Event()
            work = self._threads.submit(self._carry_out, number, order)
            work.add_done_callback(partial(self._settle, number))

    def _carry_out(self, number: int, order: Order) -> Reply:
        actions: dict[str, Callable[[], object]] = {
            "warm_up": self._engine.warm_up,
            "check": self._engine.check,
            "forget": lambda: self._engine.forget(order.digest),
        }
        if order.do == "speak":
            return self._speak(number, order)
        if order.do == "resolve":
            assert order.request is not None
            return Answered(self._engine.resolve(order.request))
        actions[order.do]()
        return Answered()

    def _speak(self, number: int, order: Order) -> Reply:
        assert order.utterance is not None
        stopped = self._stopped[number]
        with closing(self._engine.synthesize(order.utterance)) as chunks:
            for chunk in chunks:
                if stopped.is_set():
                    break
                if chunk.pcm:
                    self._reply(number, Chunk(chunk))
        return Ended()

    def _settle(self, number: int, work: Future[Reply]) -> None:
        """Send the outcome; a process that has lost its GPU is of no more use."""
        del self._stopped[number]
        error = work.exception()
        if error is None:
            self._reply(number, work.result())
            return
        told = error if isinstance(error, ServiceError) else EngineFailed(f"The engine broke: {error!r}")
        self._reply(number, Failed.of(told))
        if isinstance(told, EngineFailed) and not self._usable():
            os._exit(1)

    def _usable(self) -> bool:
        try:
            self._engine.check()
        except ServiceError:
            return False
        return True

    def _reply(self, number: int, reply: Reply) -> None:
        try:
            with self._send_lock:
                self._connection.send_bytes(pack_reply(number, reply))
        except OSError:
            os._exit(0)  # the service is gone


def main(file_descriptor: int) -> None:
    """Make the engine that the first order names, introduce it, and serve it."""
    connection = Connection(file_descriptor)
    number, order = unpack_order(connection.recv_bytes())
    settings = TtsSettings.model_validate(order.settings)
    configure_logging(settings.log_level)
    try:
        engine = MAKERS[order.engine](settings)
        connection.send_bytes(pack_reply(number, Introduction.of(engine)))
    except ServiceError as error:
        connection.send_bytes(pack_reply(number, Failed.of(error)))
        return
    Host(connection, engine).run()
    os._exit(0)  # what is in flight has nobody left to go to


if __name__ == "__main__":
    main(int(sys.argv[1]))
