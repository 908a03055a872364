"""Decides which utterances the model speaks next, and which of them together.

A model speaks one batch at a time. Live work goes first. On a GPU it goes alone, because CUDA graphs
take one row only and make it several times faster than real time; where there are none, what waits
is taken together. Other work is always taken together, as many as fit: that is where throughput
comes from. A batch in progress is never interrupted, so live work waits for at most one sentence.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue

from services.contract.errors import EngineFailed, ServiceError
from services.contract.speech import AudioChunk
from services.tts.engine import PATIENCE_S, Utterance

SAMPLE_RATE_HZ = 24_000

_QUIET_S, _MOST_PATIENCE_S = 0.02, 0.1
"""Work that nobody listens to live waits for company until none has come for so long, and at most so long."""

_Outcome = AudioChunk | BaseException | None


@dataclass(eq=False)
class Job:
    """An utterance on its way through the engine."""

    utterance: Utterance
    take: int = 1
    _outbox: SimpleQueue[_Outcome] = field(default_factory=SimpleQueue)
    _left: threading.Event = field(default_factory=threading.Event)

    @property
    def abandoned(self) -> bool:
        """Whether nobody waits for it any more."""
        return self._left.is_set()

    def send(self, chunk: AudioChunk) -> None:
        """Hand over sound."""
        self._outbox.put(chunk)

    def end(self) -> None:
        """Say that the utterance is complete."""
        self._outbox.put(None)

    def fail(self, error: BaseException) -> None:
        """Say that nothing more will come, and why."""
        self._outbox.put(error)

    def chunks(self) -> Iterator[AudioChunk]:
        """Yield what is sent, until the end; leaving early abandons the job."""
        try:
            while (outcome := self._next()) is not None:
                if isinstance(outcome, BaseException):
                    raise outcome
                yield outcome
        finally:
            self._left.set()

    def _next(self) -> _Outcome:
        try:
            return self._outbox.get(timeout=PATIENCE_S)
        except Empty:
            return AudioChunk(b"", SAMPLE_RATE_HZ)


class Scheduler:
    """Runs jobs on one thread, in batches of up to `most_together`, `most_live_together` where they are live."""

    def __init__(self, run: Callable[[list[Job]], list[Job]], most_together: int, most_live_together: int) -> None:
        """`run` speaks a batch and returns the jobs that have to be spoken again."""
        self._run = run
        self._most = {True: most_live_together, False: most_together}
        self._waiting: list[Job] = []
        self._lock = threading.Lock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="qwen3")

    def submit(self, job: Job) -> None:
        """Queue `job`."""
        with self._lock:
            self._waiting.append(job)
        batch: list[Job] = []
        self._thread.submit(self._next_batch, batch).add_done_callback(partial(_settle, batch))

    def call(self, work: Callable[[], None]) -> None:
        """Do `work` where jobs are done, between two batches, and wait for it; raises what it raises."""
        self._thread.submit(work).result()

    def close(self) -> None:
        """Fail what waits, and wait for what runs."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        for job in waiting:
            job.fail(EngineFailed("The speech engine is being shut down."))
        self._thread.shutdown()

    def _next_batch(self, batch: list[Job]) -> None:
        """Run what is next; `batch` is filled with it."""
        self._gather()
        batch += self._take_batch()
        if batch:  # else an earlier batch took the job along
            for job in self._run(batch):
                self.submit(job)

    def _gather(self) -> None:
        """Wait for the rest of what was asked together: requests arrive one by one."""
        began, seen = time.monotonic(), 0
        while time.monotonic() - began < _MOST_PATIENCE_S:
            with self._lock:
                waiting = len(self._waiting)
                live = any(job.utterance.live for job in self._waiting)
            if live or waiting == seen or waiting >= self._most[False]:
                return
            seen = waiting
            time.sleep(_QUIET_S)

    def _take_batch(self) -> list[Job]:
        with self._lock:
            self._waiting = [job for job in self._waiting if not job.abandoned]
            if not self._waiting:
                return []
            first = next((job for job in self._waiting if job.utterance.live), self._waiting[0])
            batch = [first, *(job for job in self._waiting if job is not first and _together(first, job))]
            batch = batch[: self._most[first.utterance.live]]
            self._waiting = [job for job in self._waiting if job not in batch]
            return batch


def _settle(batch: Sequence[Job], run: Future[None]) -> None:
    """Fail the jobs of a batch that broke."""
    error = run.exception()
    for job in batch if error is not None else ():
        job.fail(error if isinstance(error, ServiceError) else EngineFailed(f"The speech engine broke: {error}"))


def _together(first: Job, other: Job) -> bool:
    """Whether two jobs can be rows of one batch. A seed belongs to the whole batch, so seeded jobs go alone."""
    one, two = first.utterance, other.utterance
    if one.seed is not None or two.seed is not None:
        return False
    return (one.live, one.model, one.generation) == (two.live, two.model, two.generation)
