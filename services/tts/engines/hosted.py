"""Any engine, in a process of its own, behind the same protocol.

Libraries that can crash, hang, lose the GPU or bring a licence of their own run there: when the
process dies, the requests in it fail, and the next one gets a new process.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import Pipe
from pathlib import Path
from queue import Empty, SimpleQueue
from socket import SHUT_RDWR, socket
from typing import Any

import services
from services.contract.errors import EngineFailed
from services.contract.speech import AudioChunk, SpeechRequest, Voice
from services.tts.engine import PATIENCE_S, Utterance
from services.tts.hosting import (
    Answered,
    Chunk,
    Ended,
    Failed,
    Introduction,
    Order,
    Reply,
    pack_order,
    unpack_reply,
)
from services.tts.settings import EngineName, TtsSettings

_START_TIMEOUT_S = 120.0
_CLOSE_TIMEOUT_S = 5.0
_ANSWER_TIMEOUT_S = 30.0
"""For what takes milliseconds; a process that is silent for longer hangs."""


class HostedEngine:
    """The engine `name`, made of `settings` in a process of its own."""

    def __init__(self, name: EngineName, settings: TtsSettings) -> None:
        """Start the process; raises what making the engine raises there."""
        self._made_of = (name, settings)
        self._lock = threading.Lock()
        self._process = _Process(*self._made_of)
        about = self._process.introduction
        self.name: str = name
        self.revision = about.revision
        self.sample_rate_hz = about.sample_rate_hz
        self.cloning = about.cloning
        self.phoneme_marks = about.phoneme_marks
        self.ipa = about.ipa
        self.default_voice = about.default_voice

    @property
    def pid(self) -> int:
        """Id of the process."""
        return self._process.pid

    def voices(self) -> Sequence[Voice]:
        """Return the voices that can be asked for."""
        return self._process.introduction.voices

    def languages(self) -> Sequence[str]:
        """Return the BCP 47 tags of the languages it speaks."""
        return self._process.introduction.languages

    def checkpoints(self) -> Sequence[str]:
        """Return the names of the checkpoints that are here."""
        return self._process.introduction.checkpoints

    def resolve(self, request: SpeechRequest) -> Utterance:
        """Settle language and voice without speaking."""
        answer = self._ask(Order(do="resolve", request=request))
        assert answer.utterance is not None
        return answer.utterance

    def synthesize(self, utterance: Utterance) -> Generator[AudioChunk, None, None]:
        """Yield the speech as it is made; closing the generator stops the engine."""
        process = self._living()
        with process.replies(Order(do="speak", utterance=utterance)) as (replies, stop):
            try:
                while True:
                    reply = _next(replies)
                    if reply is None:
                        yield AudioChunk(b"", self.sample_rate_hz)  # here it can be closed
                    elif isinstance(reply, Chunk):
                        yield reply.chunk
                    else:
                        _settled(reply)
                        return
            except GeneratorExit:
                stop()
                raise

    def warm_up(self) -> None:
        """Do what makes the first request slow."""
        self._ask(Order(do="warm_up"), patient=True)

    def check(self) -> None:
        """Return when the next request would be served."""
        self._ask(Order(do="check"))

    def forget(self, digest: str) -> None:
        """Drop what was computed from a reference."""
        self._ask(Order(do="forget", digest=digest))

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._process.close()

    def _ask(self, order: Order, *, patient: bool = False) -> Answered:
        process = self._living()
        with process.replies(order) as (replies, _):
            try:
                reply = replies.get(timeout=None if patient else _ANSWER_TIMEOUT_S)
            except Empty:
                process.kill()
                raise EngineFailed(f"The {self.name} engine hung and is started again; try again.") from None
        answer = _settled(reply)
        assert isinstance(answer, Answered)
        return answer

    def _living(self) -> _Process:
        with self._lock:
            if not self._process.alive:
                self._process.close()
                self._process = _Process(*self._made_of)
            return self._process


class _Process:
    """One run of the process: orders go in, replies are sorted to whoever ordered."""

    def __init__(self, name: EngineName, settings: TtsSettings) -> None:
        self._connection, theirs = Pipe()
        with theirs:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", "services.tts.host", str(theirs.fileno())],
                cwd=Path.cwd(),
                env=_environment(),
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # a Ctrl-C is for the service, which lets work in flight end
            )
        self._send_lock = threading.Lock()
        self._numbers = itertools.count()
        self._waiting: dict[int, SimpleQueue[Reply]] = {}
        self._hung_up = False
        self.introduction = self._introduced(name, settings)
        threading.Thread(target=self._sort_replies, name=f"{name} replies", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def alive(self) -> bool:
        return not self._hung_up and self._popen.poll() is None

    @contextmanager
    def replies(self, order: Order) -> Iterator[tuple[SimpleQueue[Reply], Any]]:
        """Send `order` and give its replies, and what stops it."""
        number = next(self._numbers)
        queue = self._waiting[number] = SimpleQueue()
        try:
            if not self._send(number, order):
                queue.put(self._death())
            yield queue, lambda: self._send(number, Order(do="stop"))
        finally:
            del self._waiting[number]

    def close(self) -> None:
        self._hang_up()  # the process ends when it reads that
        try:
            self._popen.wait(_CLOSE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the process at once; whoever waits for it is told."""
        self._popen.kill()
        self._popen.wait()

    def _hang_up(self) -> None:
        if self._connection.closed:
            return
        # Closing alone would not wake our own thread that reads, and so would not end the connection.
        with socket(fileno=os.dup(self._connection.fileno())) as line, suppress(OSError):
            line.shutdown(SHUT_RDWR)
        self._connection.close()

    def _introduced(self, name: EngineName, settings: TtsSettings) -> Introduction:
        self._send(next(self._numbers), Order(do="make", engine=name, settings=settings.model_dump(mode="json")))
        try:
            if not self._connection.poll(_START_TIMEOUT_S):
                self._popen.kill()
                raise EngineFailed(f"The {name} engine did not start within {_START_TIMEOUT_S:.0f} s; see the log.")
            _, reply = unpack_reply(self._connection.recv_bytes())
        except (EOFError, OSError) as error:
            self._popen.wait()
            raise EngineFailed(f"The {name} engine's process ended before it was ready; see the log.") from error
        if not isinstance(reply, Introduction):
            self.close()
            _settled(reply)
        assert isinstance(reply, Introduction)
        return reply

    def _send(self, number: int, order: Order) -> bool:
        try:
            with self._send_lock:
                self._connection.send_bytes(pack_order(number, order))
        except OSError:
            return False
        return True

    def _sort_replies(self) -> None:
        while True:
            try:
                number, reply = unpack_reply(self._connection.recv_bytes())
            except (EOFError, OSError):
                self._hung_up = True  # a killed process hangs up a moment before it is seen to be dead
                break
            if (queue := self._waiting.get(number)) is not None:
                queue.put(reply)
        for queue in list(self._waiting.values()):
            queue.put(self._death())

    def _death(self) -> Failed:
        return Failed.of(EngineFailed("The speech engine's process ended in the middle of its work; try again."))


def _next(replies: SimpleQueue[Reply]) -> Reply | None:
    try:
        return replies.get(timeout=PATIENCE_S)
    except Empty:
        return None


def _settled(reply: Reply) -> Answered | Ended:
    """Return an answer, or raise the error there is instead of one."""
    if isinstance(reply, Failed):
        raise reply.error()
    assert isinstance(reply, Answered | Ended)
    return reply


def _environment() -> dict[str, str]:
    root = str(Path(services.__file__).parent.parent)
    path = os.environ.get("PYTHONPATH", "")
    return os.environ | {"PYTHONPATH": f"{root}{os.pathsep}{path}" if path else root}
