"""One small neural network, run on the CPU."""

from __future__ import annotations

from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from services.contract.errors import Unavailable

Tensor = npt.NDArray[np.float32]


class Network:
    """A TFLite model with one input. Safe to share between threads; calls take turns."""

    def __init__(self, model: bytes) -> None:
        """Raises `Unavailable` where the runtime is not installed: there are platforms without one."""
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise Unavailable(
                "Finding faces needs the ai-edge-litert package, which this platform has no build of; "
                "add the avatar on another machine and copy its folder."
            ) from error
        self._interpreter = Interpreter(model_content=model, num_threads=1)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._outputs = [(o["name"], o["index"]) for o in self._interpreter.get_output_details()]
        self._lock = Lock()

    def __call__(self, picture: npt.NDArray[np.floating[Any]]) -> list[Tensor]:
        """Return the outputs for `picture` [height, width, 3], flattened, the largest first."""
        with self._lock:
            self._interpreter.set_tensor(self._input, picture[None].astype(np.float32))
            self._interpreter.invoke()
            outputs = [self._interpreter.get_tensor(index).ravel().copy() for _, index in self._outputs]
        return sorted(outputs, key=len, reverse=True)
