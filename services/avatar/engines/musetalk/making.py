"""Makes the engine that the settings describe."""

from __future__ import annotations

import torch

from services.avatar.engines.musetalk.engine import MuseTalkEngine
from services.avatar.engines.musetalk.faces import FaceOptions
from services.avatar.engines.musetalk.pack import Packs
from services.avatar.engines.musetalk.passes import Mode
from services.avatar.engines.musetalk.weights import load_networks
from services.avatar.settings import AvatarSettings
from services.contract.errors import Unavailable


def make_musetalk(settings: AvatarSettings) -> MuseTalkEngine:
    """Load the weights and return the engine; raises `Unavailable` with what is missing or wrong. Blocking."""
    on_gpu = settings.device.startswith("cuda")
    if on_gpu and not torch.cuda.is_available():
        raise Unavailable(f"AVATAR_DEVICE is {settings.device}, but torch finds no GPU here; set AVATAR_DEVICE=cpu.")
    dtype = settings.dtype if settings.dtype != "auto" else "bfloat16" if on_gpu else "float32"
    mode: Mode = settings.musetalk_mode if settings.musetalk_mode != "auto" else "graph" if on_gpu else "eager"
    if mode != "eager" and not on_gpu:
        raise Unavailable(f"AVATAR_MUSETALK_MODE={mode} is for a GPU; set AVATAR_DEVICE=cuda:0, or the mode eager.")
    folder = settings.musetalk_dir or settings.models_dir / "musetalk"
    networks = load_networks(folder, settings.musetalk_version, tiny_decoder=settings.musetalk_decoder == "taesd")
    return MuseTalkEngine(
        networks.placed(settings.device, getattr(torch, dtype)),
        FaceOptions(
            bbox_shift=settings.bbox_shift,
            extra_margin=settings.extra_margin,
            parsing=settings.parsing_mode,
            left_cheek=settings.left_cheek_width,
            right_cheek=settings.right_cheek_width,
        ),
        batch=settings.musetalk_batch,
        version=settings.musetalk_version,
        gated=settings.silence_gate,
        mode=mode,
        packs=Packs(settings.pack_dir, int(settings.packs_max_gb * 1e9)),
    )
