"""Weights made from a seed and the tensors' names, the same on every machine, written as the published files are."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from torch import nn
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel


def write_weights(
    folder: Path,
    *,
    unet: Mapping[str, Any],
    vae: Mapping[str, Any],
    whisper: Mapping[str, Any],
    seed: int,
    taesd: Mapping[str, Any] | None = None,
) -> Path:
    """Write networks of these configurations below `folder` in the published layout, and return it."""
    (folder / "musetalkV15").mkdir(parents=True, exist_ok=True)
    fields = {name: value for name, value in unet.items() if not name.startswith("_")}
    generator = filled(UNet2DConditionModel(**fields), seed)
    torch.save(generator.state_dict(), folder / "musetalkV15" / "unet.pth")
    (folder / "musetalkV15" / "musetalk.json").write_text(json.dumps(dict(unet)), "utf-8")
    filled(AutoencoderKL(**vae), seed + 1).save_pretrained(folder / "sd-vae", safe_serialization=False)
    ears = filled(WhisperModel(WhisperConfig(**whisper)), seed + 2)
    ears.config.save_pretrained(folder / "whisper")
    torch.save(ears.state_dict(), folder / "whisper" / "pytorch_model.bin")
    WhisperFeatureExtractor().save_pretrained(folder / "whisper")
    if taesd is not None:
        filled(AutoencoderTiny(**taesd), seed + 3).save_pretrained(folder / "taesd")
    return folder


def filled(module: Any, seed: int) -> Any:
    """Fill a module's floating-point tensors: matrices keep their scale, norms stay near one, biases small."""
    state = nn.Module.state_dict(module)
    module.load_state_dict(
        {name: _numbers(name, tensor, seed) if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    )
    return module


def _numbers(name: str, tensor: torch.Tensor, seed: int) -> torch.Tensor:
    random = np.random.default_rng([seed, zlib.crc32(name.encode())])
    drawn = np.asarray(random.standard_normal(tensor.shape if tensor.ndim else ()))
    if tensor.ndim >= 2:
        drawn = drawn / np.sqrt(np.prod(tensor.shape[1:]))
    else:
        drawn = 1 + 0.1 * drawn if name.endswith("weight") else 0.1 * drawn
    return torch.from_numpy(drawn.astype(np.float32)).reshape(tensor.shape)
