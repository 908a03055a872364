"""What tiny speech models have in common: every symbol lasts some frames of a tone of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

Node = tuple[str, str, str]
"""Operator, inputs, output."""
Form = tuple[int, list[Any]]
"""Type and shape of an input or output."""

PLACES: tuple[Node, ...] = (
    ("Ceil", "paced", "whole"),
    ("Cast", "whole", "duration"),
    # frames to the place of the symbol that is heard in each
    ("CumSum", "duration zero", "ends"),
    ("Gather", "ends last", "total_1"),
    ("Squeeze", "total_1 first", "total"),
    ("Range", "zero total one", "frames"),
    ("Unsqueeze", "frames second", "frames_down"),
    ("Unsqueeze", "ends first", "ends_across"),
    ("GreaterOrEqual", "frames_down ends_across", "over"),
    ("Cast", "over", "over_1"),
    ("ReduceSum", "over_1 second", "place"),
    # symbols to sound
    ("Gather", "ids place", "heard"),
    ("Gather", "sound_of heard", "snippets"),
)
"""From `paced`, the frames of each symbol, and `ids` to the `snippets` of sound [frame, sample]."""

_ATTRIBUTES: dict[str, dict[str, int]] = {
    "duration": {"to": TensorProto.INT64},
    "over_1": {"to": TensorProto.INT64},
    "factor": {"to": TensorProto.FLOAT},
    "place": {"keepdims": 0},
    "shift": {"keepdims": 0},
}
_CONSTANTS: dict[str, Any] = {
    "first": np.array([0]),
    "second": np.array([1]),
    "last": np.array([-1]),
    "zero": np.array(0),
    "one": np.array(1),
}


def write_model(
    path: Path,
    nodes: Sequence[Node],
    inputs: Mapping[str, Form],
    outputs: Mapping[str, Form],
    constants: Mapping[str, Any],
) -> None:
    """Write the graph as an ONNX model."""
    graph = helper.make_graph(
        [helper.make_node(op, into.split(), [out], **_ATTRIBUTES.get(out, {})) for op, into, out in nodes],
        path.stem,
        [helper.make_tensor_value_info(name, *form) for name, form in inputs.items()],
        [helper.make_tensor_value_info(name, *form) for name, form in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in (_CONSTANTS | dict(constants)).items()],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8), path)


def tones(cycles: np.ndarray[Any, Any], samples: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return a frame of sound for each number of cycles: [tone, sample]."""
    turns = np.outer(cycles, np.arange(samples)) / samples
    return (0.2 * np.sin(2 * np.pi * turns)).astype(np.float32)
