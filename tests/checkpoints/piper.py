"""A tiny Piper voice with random weights, with the inputs and outputs of the released ones: it whistles.

Every phoneme lasts two to eight frames of a tone of its own. The one `Ceil` in the graph is what
the library looks for to learn how long each phoneme is.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from onnx import TensorProto
from piper.phoneme_ids import DEFAULT_PHONEME_ID_MAP

from tests.checkpoints.whistle import PLACES, tones, write_model

_SYMBOLS, _FRAME_SAMPLES = 256, 256

_NODES = (
    # phonemes and length scale to frames
    ("Squeeze", "input first", "ids"),
    ("Gather", "frames_of ids", "plain"),
    ("Gather", "scales length_scale_at", "pace"),
    ("Mul", "plain pace", "paced"),
    *PLACES,
    ("Reshape", "snippets shape", "plain_sound"),
)
_ONE_SPEAKER = (("Identity", "plain_sound", "output"),)
_SEVERAL_SPEAKERS = (
    ("Add", "sid one", "number"),
    ("Cast", "number", "factor"),
    ("Pow", "plain_sound factor", "output"),
)


def build_piper(
    folder: Path,
    name: str = "en_US-tiny-low",
    *,
    espeak: str = "en-us",
    language: str = "English",
    sample_rate_hz: int = 22_050,
    speakers: tuple[str, ...] = (),
) -> Path:
    """Write the voice's model and description into `folder` and return the model's path."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    constants = {
        "frames_of": random.integers(2, 9, _SYMBOLS).astype(np.float32),
        "sound_of": tones(random.permutation(_SYMBOLS) / 4 + 2, _FRAME_SAMPLES),
        "length_scale_at": np.array(1),
        "shape": np.array([1, 1, 1, -1]),
    }
    inputs = {
        "input": (TensorProto.INT64, ["batch", "phonemes"]),
        "input_lengths": (TensorProto.INT64, ["batch"]),
        "scales": (TensorProto.FLOAT, [3]),
    } | ({"sid": (TensorProto.INT64, ["batch"])} if speakers else {})
    nodes = (*_NODES, *(_SEVERAL_SPEAKERS if speakers else _ONE_SPEAKER))
    outputs = {"output": (TensorProto.FLOAT, ["batch", 1, 1, "samples"])}
    model = folder / f"{name}.onnx"
    write_model(model, nodes, inputs, outputs, constants)
    description = {
        "audio": {"sample_rate": sample_rate_hz, "quality": "low"},
        "espeak": {"voice": espeak},
        "language": {"code": name.split("-")[0], "name_english": language},
        "inference": {"noise_scale": 0.667, "length_scale": 1, "noise_w": 0.8},
        "phoneme_type": "espeak",
        "phoneme_id_map": DEFAULT_PHONEME_ID_MAP,
        "num_symbols": _SYMBOLS,
        "num_speakers": max(len(speakers), 1),
        "speaker_id_map": {speaker: at for at, speaker in enumerate(speakers)},
        "hop_length": _FRAME_SAMPLES,
    }
    model.with_name(f"{model.name}.json").write_text(json.dumps(description), "utf-8")
    return model
