"""Mixes the frames of all who ask into batches of one size, for one thread that owns the device.

Batches of one size are what graphs and compiled kernels are made for; a batch that is not full is
filled up with copies. A frame waits a few milliseconds for company at most.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from services.avatar.engines.musetalk.generation import Generator
from services.avatar.engines.musetalk.hearing import with_places
from services.contract.errors import EngineFailed, ServiceError, Unavailable

Face = npt.NDArray[np.uint8]
"""[256, 256, 3], BGR."""


@dataclass(eq=False)
class _Job:
    latents: Tensor
    window: Tensor
    face: Future[Face] = field(default_factory=Future)


class Batcher:
    """Makes faces, `size` at a time."""

    def __init__(self, generator: Generator, size: int, patience_s: float = 0.004) -> None:
        """A frame waits up to `patience_s` until its batch is full."""
        self._generator = generator
        self._size = size
        self._patience_s = patience_s
        self._waiting: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="musetalk", daemon=True)
        self._thread.start()

    def submit(self, latents: Tensor, window: Tensor) -> Future[Face]:
        """Ask for the face of latents [8, 32, 32], on the CPU, that says window [50, 384].

        Cancelling it takes it back.
        """
        job = _Job(latents, window)
        with self._changed:
            if self._closed:
                raise EngineFailed("The lip-sync engine is being shut down.")
            self._waiting.append(job)
            self._changed.notify()
        return job.face

    def close(self) -> None:
        """Let go of what waits, and end the thread."""
        with self._changed:
            self._closed = True
            for job in self._waiting:
                job.face.cancel()
            self._waiting.clear()
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        """Launch each batch before the one before is waited for, so that a GPU never waits for Python."""
        if self._generator.device.type == "cuda":
            torch.cuda.set_device(self._generator.device)  # streams, events and graphs go by the thread's own
        launched: _Launched | None = None
        while True:
            batch = self._next_batch(wait=launched is None)
            if not batch and launched is None:
                return
            following = self._launch(batch) if batch else None
            if launched is not None:
                _deliver(launched)
            launched = following
            if launched is not None and launched.done is None:
                _deliver(launched)
                launched = None

    def _next_batch(self, *, wait: bool) -> list[_Job]:
        """Return the next jobs; none when it is over, or when nothing waits and neither does the caller."""
        batch: list[_Job] = []
        with self._changed:
            while not batch:
                if wait:
                    self._changed.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    break
                full_by = time.monotonic() + self._patience_s
                self._changed.wait_for(
                    lambda: len(self._waiting) >= self._size or self._closed, max(0.0, full_by - time.monotonic())
                )
                while self._waiting and len(batch) < self._size:
                    job = self._waiting.popleft()
                    if job.face.set_running_or_notify_cancel():
                        batch.append(job)
        return batch

    def _launch(self, batch: list[_Job]) -> _Launched | None:
        """Start the work on a batch; None when that failed, which its jobs are told."""
        padded = [*batch, *[batch[-1]] * (self._size - len(batch))]
        generator = self._generator
        try:
            latents = _on_device(torch.stack([job.latents for job in padded]), generator.device)
            windows = with_places(torch.stack([job.window for job in padded])).to(generator.device, generator.dtype)
            return _Launched.of(batch, generator.faces(latents, windows))
        except Exception as error:  # noqa: BLE001 - the thread's outer boundary: whoever waits must be told
            _fail(batch, error)
            return None


@dataclass(frozen=True)
class _Launched:
    """A batch whose faces are on their way."""

    batch: list[_Job]
    faces: Tensor
    """In the memory of the host, once `done`."""
    done: Any
    """A `torch.cuda.Event`; None where they are there already."""

    @classmethod
    def of(cls, batch: list[_Job], faces: Tensor) -> _Launched:
        if faces.device.type != "cuda":
            return cls(batch, faces, None)
        host = torch.empty(faces.shape, dtype=faces.dtype, pin_memory=True)
        host.copy_(faces, non_blocking=True)
        done: Any = torch.cuda.Event()  # type: ignore[no-untyped-call]
        done.record()
        return cls(batch, host, done)


def _on_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Send a tensor of the host on its way to the device."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def _deliver(launched: _Launched) -> None:
    """Wait for a batch, and hand out its faces."""
    try:
        if launched.done is not None:
            launched.done.synchronize()
    except Exception as error:  # noqa: BLE001 - the same
        _fail(launched.batch, error)
        return
    for job, face in zip(launched.batch, launched.faces.numpy(), strict=False):
        job.face.set_result(face)


def _fail(batch: list[_Job], error: Exception) -> None:
    for job in batch:
        job.face.set_exception(told(error))


def face_of(future: Future[Face]) -> Face:
    """Wait for a face; raises what making it failed with."""
    try:
        return future.result()
    except CancelledError as error:
        raise EngineFailed("The lip-sync engine is being shut down.") from error


def told(error: Exception) -> ServiceError:
    """Return what is told of a failure on the device."""
    if isinstance(error, ServiceError):
        return error
    if isinstance(error, torch.OutOfMemoryError):
        torch.cuda.empty_cache()
        return Unavailable("The GPU has no memory left for this; try again shortly.", retry_after_s=2)
    return EngineFailed(f"MuseTalk broke: {error}")
