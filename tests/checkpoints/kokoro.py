"""A tiny Kokoro model with random weights, with the inputs and outputs of the released one: it whistles.

Every token lasts two to five frames of a tone of its own, so that what is spoken depends on
the phonemes, the voice's style and the speed, as it does with the real weights.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

_TOKENS, _FRAME_SAMPLES, _STYLES, _STYLE_SIZE = 178, 600, 510, 256
VOICES = (
    *("af_heart", "am_adam", "bm_george", "ef_dora", "ff_siwi"),
    *("hm_omega", "if_sara", "jf_alpha", "pm_alex", "zf_xiaoni"),
)

_NODES = (
    # tokens and speed to frames
    ("Squeeze", "tokens first", "ids"),
    ("Gather", "frames_of ids", "plain"),
    ("Div", "plain speed", "paced"),
    ("Ceil", "paced", "whole"),
    ("Cast", "whole", "duration"),
    # frames to the place of the token that is heard in each
    ("CumSum", "duration zero", "ends"),
    ("Gather", "ends last", "total_1"),
    ("Squeeze", "total_1 first", "total"),
    ("Range", "zero total one", "frames"),
    ("Unsqueeze", "frames second", "frames_down"),
    ("Unsqueeze", "ends first", "ends_across"),
    ("GreaterOrEqual", "frames_down ends_across", "over"),
    ("Cast", "over", "over_1"),
    ("ReduceSum", "over_1 second", "place"),
    # tokens to sound, which the style shifts
    ("Gather", "ids place", "heard"),
    ("Gather", "sound_of heard", "snippets"),
    ("Reshape", "snippets last", "plain_sound"),
    ("ReduceMean", "style", "shift"),
    ("Add", "plain_sound shift", "audio"),
)
_ATTRIBUTES = {
    "duration": {"to": TensorProto.INT64},
    "over_1": {"to": TensorProto.INT64},
    "place": {"keepdims": 0},
    "shift": {"keepdims": 0},
}


def build_kokoro(folder: Path, *, timings: bool = True) -> tuple[Path, Path]:
    """Write model and voices into `folder` and return their paths; without `timings` it tells no durations."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    constants = {
        "frames_of": random.integers(2, 6, _TOKENS).astype(np.float32),
        "sound_of": _tones(random.permutation(_TOKENS) + 3),
        "first": np.array([0]),
        "second": np.array([1]),
        "last": np.array([-1]),
        "zero": np.array(0),
        "one": np.array(1),
    }
    inputs = {
        "tokens": (TensorProto.INT64, [1, "n"]),
        "style": (TensorProto.FLOAT, [1, _STYLE_SIZE]),
        "speed": (TensorProto.FLOAT, [1]),
    }
    outputs = {"audio": (TensorProto.FLOAT, ["samples"]), "duration": (TensorProto.INT64, ["n"])}
    graph = helper.make_graph(
        [helper.make_node(op, into.split(), [out], **_ATTRIBUTES.get(out, {})) for op, into, out in _NODES],
        "kokoro",
        [helper.make_tensor_value_info(name, *form) for name, form in inputs.items()],
        [helper.make_tensor_value_info(name, *form) for name, form in list(outputs.items())[: 1 + timings]],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model, voices = folder / "kokoro-v1.0.onnx", folder / "voices-v1.0.bin"
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8), model)
    with voices.open("wb") as file:
        styles = 0.01 * random.standard_normal((len(VOICES), _STYLES, 1, _STYLE_SIZE))
        np.savez(file, **dict(zip(VOICES, styles.astype(np.float32), strict=True)))
    return model, voices


def _tones(cycles: np.ndarray) -> np.ndarray:
    """Return a frame of sound for each number of cycles: [tone, sample]."""
    turns = np.outer(cycles, np.arange(_FRAME_SAMPLES)) / _FRAME_SAMPLES
    return (0.2 * np.sin(2 * np.pi * turns)).astype(np.float32)
