"""Loads the published files of MuseTalk: no pickled code, and a clear word for every way a file can be wrong.

    musetalkV15/unet.pth, musetalkV15/musetalk.json      the generator (v1: musetalk/pytorch_model.bin)
    sd-vae/config.json, sd-vae/diffusion_pytorch_model.* the image encoder and decoder
    whisper/config.json, whisper/pytorch_model.* ...     the ears

Weights are taken as .safetensors wherever such a file lies beside, or in place of, the published one.
"""

from __future__ import annotations

import hashlib
import json
import logging
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import WhisperModel
from transformers.utils.logging import disable_progress_bar

from services.contract.errors import Unavailable

Version = Literal["v15", "v1"]

_UNET_FILES: Mapping[Version, tuple[str, str]] = {
    "v15": ("musetalkV15/musetalk.json", "musetalkV15/unet.pth"),
    "v1": ("musetalk/musetalk.json", "musetalk/pytorch_model.bin"),
}
_UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
    RuntimeError,
    pickle.UnpicklingError,
    SafetensorError,
)
"""What the loaders raise for files that are missing, cut off, of another kind or of other sizes."""

_SKETCHED = 64
_ENCODING = ("encoder.", "quant_conv.")

Loaded = TypeVar("Loaded")


@dataclass(frozen=True)
class Networks:
    """The three networks, in evaluation mode."""

    unet: Any
    """`UNet2DConditionModel`: latents [n, 8, 32, 32] and windows [n, 50, 384] to latents [n, 4, 32, 32]."""
    vae: Any
    """`AutoencoderKL`: images [n, 3, 256, 256] in -1..1 to latents [n, 4, 32, 32], and back."""
    whisper: Any
    """Whisper's encoder: log-mel [1, 80, 3000] to five hidden states [1, 1500, 384]."""
    tiny_decoder: Any = None
    """`AutoencoderTiny`, where it is to decode in the image model's place."""

    def placed(self, device: str, dtype: torch.dtype) -> Networks:
        """Move them there; the ears stay in fp32, because they are small and wide ranges go through them."""
        # On a GPU channels come last, which its convolutions are quicker with; on a CPU that costs three digits.
        layout = torch.channels_last if device.startswith("cuda") else torch.preserve_format
        return Networks(
            self.unet.to(device, dtype, memory_format=layout),
            self.vae.to(device, dtype, memory_format=layout),
            self.whisper.to(device, torch.float32),
            self.tiny_decoder and self.tiny_decoder.to(device, dtype, memory_format=layout),
        )


def load_networks(folder: Path, version: Version = "v15", *, tiny_decoder: bool = False) -> Networks:
    """Return the networks below `folder`, on the CPU; raises `Unavailable` with the file that is missing or wrong."""
    logging.getLogger("diffusers").setLevel(logging.ERROR)  # it warns of casts that concern other models
    disable_progress_bar()
    unet = _read("the generator", folder / _UNET_FILES[version][1], lambda: _load_unet(folder, version))
    vae = _read("the image model", folder / "sd-vae", lambda: _load_from(AutoencoderKL, folder / "sd-vae"))
    whisper = _read("the ears", folder / "whisper", lambda: _load_whisper(folder / "whisper"))
    tiny = None
    if tiny_decoder:
        tiny = _read("the tiny decoder", folder / "taesd", lambda: _load_from(AutoencoderTiny, folder / "taesd")).eval()
    return Networks(unet.eval(), vae.eval(), whisper.eval(), tiny)


def fingerprint_of(vae: Any) -> str:
    """Return the SHA-256 of all that latents depend on: the image model's encoder, and the scale of its latents."""
    digest = hashlib.sha256(str(vae.config.scaling_factor).encode())
    for name, tensor in vae.state_dict().items():
        if name.startswith(_ENCODING):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def sketch_of(networks: Networks) -> str:
    """Return what tells these weights from others, from some values of each tensor: all of them would take seconds."""
    digest = hashlib.sha256()
    for network in (networks.unet, networks.vae, networks.whisper, networks.tiny_decoder):
        for name, tensor in network.state_dict().items() if network is not None else ():
            values = tensor.detach().flatten()[:: max(1, tensor.numel() // _SKETCHED)]
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            digest.update(values.cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _read(what: str, place: Path, load: Callable[[], Loaded]) -> Loaded:
    try:
        return load()
    except FileNotFoundError as error:
        raise Unavailable(
            f"MuseTalk: {error.filename or place} is missing; run `scripts/fetch-models musetalk "
            "musetalk-vae musetalk-whisper` or set AVATAR_MUSETALK_DIR."
        ) from error
    except _UNREADABLE as error:
        reason = str(error).strip().partition("\n")[0][:200]
        raise Unavailable(
            f"MuseTalk: {what} at {place} cannot be loaded ({reason}); "
            "run `talkie models verify musetalk` and fetch it again."
        ) from error


def _load_unet(folder: Path, version: Version) -> Any:
    config_name, weights_name = _UNET_FILES[version]
    config = json.loads((folder / config_name).read_text("utf-8"))
    fields = {name: value for name, value in config.items() if not name.startswith("_")}
    with torch.device("meta"):  # no time is spent on numbers that are replaced at once
        unet: Any = UNet2DConditionModel(**fields)
    unet.load_state_dict(_state(folder / weights_name), assign=True)
    return unet


def _load_from(kind: Any, folder: Path) -> Any:
    # Its own loader knows the older names of the published file's attention weights.
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(2, "missing", str(folder / "config.json"))
    safe = (folder / "diffusion_pytorch_model.safetensors").is_file()
    return kind.from_pretrained(str(folder), use_safetensors=safe, local_files_only=True)


def _load_whisper(folder: Path) -> Any:
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(2, "missing", str(folder / "config.json"))
    return WhisperModel.from_pretrained(str(folder), local_files_only=True).encoder


def _state(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a .safetensors file, or of a pickled one without running any code of it."""
    safe = path.with_suffix(".safetensors")
    if safe.is_file():
        return load_file(safe)
    state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    return state
