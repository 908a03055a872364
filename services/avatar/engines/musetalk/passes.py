"""How the pass from latents and windows to faces is run: as it is, as one CUDA graph, or compiled.

All but the first are for a GPU, and for batches of one size.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from services.contract.errors import Unavailable

_log = logging.getLogger(__name__)

Mode = Literal["eager", "graph", "compile", "tensorrt"]

Pass = Callable[[Tensor, Tensor], Tensor]
"""Latents [n, 8, 32, 32] and windows [n, 50, 384] to faces [n, 256, 256, 3] uint8."""

_WARM_UPS = 3


def pass_of(run: Pass, mode: Mode) -> Pass:
    """Return `run` in another mode.

    graph: what Python would launch kernel by kernel is recorded once and replayed. compile: the same,
    of kernels that torch fused first, which takes a minute. tensorrt: TensorRT does, where torch-tensorrt is
    installed; raises `Unavailable` where it is not.
    """
    if mode == "graph":
        return GraphPass(run)
    if mode == "compile":
        return GraphPass(torch.compile(run, mode="max-autotune-no-cudagraphs", dynamic=False))
    if mode == "tensorrt":
        if importlib.util.find_spec("torch_tensorrt") is None:
            raise Unavailable("AVATAR_MUSETALK_MODE=tensorrt needs torch-tensorrt; install it, or use graph.")
        return torch.compile(run, backend="torch_tensorrt", dynamic=False)
    return run


class GraphPass:
    """A pass recorded as a CUDA graph when it is first called; what it returns is valid until the next call."""

    def __init__(self, run: Pass) -> None:
        self._run = run
        self._graph: torch.cuda.CUDAGraph | None = None
        self._latents = self._windows = self._faces = torch.empty(0)

    def __call__(self, latents: Tensor, windows: Tensor) -> Tensor:
        if self._graph is None:
            self._record(latents, windows)
        assert self._graph is not None
        self._latents.copy_(latents)
        self._windows.copy_(windows)
        self._graph.replay()
        return self._faces

    def _record(self, latents: Tensor, windows: Tensor) -> None:
        self._latents, self._windows = latents.clone(), windows.clone()
        # Libraries choose, compile and allocate during the first calls, which must not be recorded.
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(_WARM_UPS):
                self._run(self._latents, self._windows)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self._faces = self._run(self._latents, self._windows)
        self._graph = graph
        _log.info("recorded the faces of a batch of %d as a CUDA graph", len(latents))
