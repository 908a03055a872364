"""A real Redis of the tests' own."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis


class RedisProcess:
    """A redis-server on a port of its own; it can be killed and started again. A durable one remembers."""

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self._folder = folder
        self._durable = durable
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What services are told."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, and return when it answers."""
        options = ["--port", str(self.port), "--save", "", "--bind", "127.0.0.1"]
        options += ["--appendonly", "yes" if self._durable else "no", "--dir", str(self._folder)]
        self._process = subprocess.Popen(["redis-server", *options], cwd=self._folder, stdout=subprocess.DEVNULL)
        client = redis.Redis(port=self.port)
        for _ in range(500):
            try:
                client.ping()
                return
            except redis.RedisError:
                time.sleep(0.01)
        raise AssertionError("redis-server did not start")

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let it accept connections and say nothing until the block ends."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def running_redis(folder: Path, *, durable: bool = False) -> Iterator[RedisProcess]:
    """Run a Redis until the block ends."""
    process = RedisProcess(folder, durable=durable)
    process.start()
    try:
        yield process
    finally:
        process.stop()
