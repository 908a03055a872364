"""A tiny Kokoro model with random weights, with the inputs and outputs of the released one: it whistles.

Every token lasts two to five frames of a tone of its own, so that what is spoken depends on
the phonemes, the voice's style and the speed, as it does with the real weights.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx import TensorProto

from tests.checkpoints.whistle import PLACES, tones, write_model

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
    *PLACES,
    # the style shifts the sound
    ("Reshape", "snippets last", "plain_sound"),
    ("ReduceMean", "style", "shift"),
    ("Add", "plain_sound shift", "audio"),
)


def build_kokoro(folder: Path, *, timings: bool = True) -> tuple[Path, Path]:
    """Write model and voices into `folder` and return their paths; without `timings` it tells no durations."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    constants = {
        "frames_of": random.integers(2, 6, _TOKENS).astype(np.float32),
        "sound_of": tones(random.permutation(_TOKENS) + 3, _FRAME_SAMPLES),
    }
    inputs = {
        "tokens": (TensorProto.INT64, [1, "n"]),
        "style": (TensorProto.FLOAT, [1, _STYLE_SIZE]),
        "speed": (TensorProto.FLOAT, [1]),
    }
    outputs = {"audio": (TensorProto.FLOAT, ["samples"]), "duration": (TensorProto.INT64, ["n"])}
    model, voices = folder / "kokoro-v1.0.onnx", folder / "voices-v1.0.bin"
    write_model(model, _NODES, inputs, dict(list(outputs.items())[: 1 + timings]), constants)
    with voices.open("wb") as file:
        styles = 0.01 * random.standard_normal((len(VOICES), _STYLES, 1, _STYLE_SIZE))
        np.savez(file, **dict(zip(VOICES, styles.astype(np.float32), strict=True)))
    return model, voices
