"""The engine's side of a worker process."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Generator
from multiprocessing import Pipe
from pathlib import Path
from typing import NamedTuple

import services
from services.contract.errors import EngineFailed
from services.tts.engines.espeak.wire import CHUNK, DONE, FAILED, NEXT, READY, SPEAK, STOP, Event, Order, unpack_chunk

_START_TIMEOUT_S = 30.0
_ANSWER_TIMEOUT_S = 10.0
_STOP_TIMEOUT_S = 0.2


class Introduction(NamedTuple):
    """What a worker says of its library when it is ready."""

    version: str
    sample_rate_hz: int
    languages: list[list[str]]
    """Tag, English name and voice file of each language."""
    variants: list[str]


class Worker:
    """A process that speaks one order at a time."""

    def __init__(self) -> None:
        self._connection, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "services.tts.engines.espeak.worker", str(theirs.fileno())],
                cwd=Path(services.__file__).parent.parent,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # a Ctrl-C is for the service, which lets work in flight end
            )
        kind, payload = self._receive(_START_TIMEOUT_S)
        assert kind == READY
        self.introduction = Introduction(**json.loads(payload))

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process can take another order."""
        return self._process.poll() is None

    def speak(self, order: Order) -> Generator[tuple[list[Event], bytes], None, None]:
        """Yield events and PCM as they are made; closing the generator stops the worker.

        Raises `EngineFailed` when the worker dies, hangs or refuses; check `alive` afterwards.
        """
        self._send(SPEAK + json.dumps(order._asdict()).encode())
        at_work = True
        try:
            while True:
                kind, payload = self._receive(_ANSWER_TIMEOUT_S)
                at_work = kind == CHUNK
                if kind == FAILED:
                    raise EngineFailed(payload.decode())
                if kind == DONE:
                    return
                yield unpack_chunk(payload)
                self._send(NEXT)
        finally:
            if at_work and self.alive:
                self._stop()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._connection.close()

    def _send(self, message: bytes) -> None:
        try:
            self._connection.send_bytes(message)
        except OSError as error:
            raise self._died() from error

    def _receive(self, timeout_s: float) -> tuple[bytes, bytes]:
        try:
            if not self._connection.poll(timeout_s):
                self.close()
                raise EngineFailed(f"The espeak worker said nothing for {timeout_s:.0f} s and was replaced; try again.")
            message = self._connection.recv_bytes()
        except (EOFError, OSError) as error:
            raise self._died() from error
        return message[:1], message[1:]

    def _stop(self) -> None:
        try:
            self._connection.send_bytes(STOP)
            stopped = self._connection.poll(_STOP_TIMEOUT_S) and self._connection.recv_bytes() == DONE
        except (EOFError, OSError):
            stopped = False
        if not stopped:
            self.close()

    def _died(self) -> EngineFailed:
        self.close()
        return EngineFailed(f"The espeak worker died (exit status {self._process.returncode}); try again.")
