"""MuseTalk's networks with random weights: of full size, and so small that they cost nothing."""

from __future__ import annotations

from typing import Any

from diffusers import AutoencoderKL, AutoencoderTiny, UNet2DConditionModel
from transformers import WhisperConfig, WhisperModel

from services.avatar.engines.musetalk.weights import Networks
from tests.checkpoints.musetalk import UNET, VAE, WHISPER

_FULL_UNET = UNET | {
    "attention_head_dim": 8,
    "block_out_channels": [320, 640, 1280, 1280],
    "layers_per_block": 2,
    "norm_num_groups": 32,
}
_FULL_VAE = VAE | {"block_out_channels": [128, 256, 512, 512], "layers_per_block": 2, "norm_num_groups": 32}
_FULL_WHISPER = WHISPER | {"encoder_ffn_dim": 1536}


def full_networks() -> Networks:
    """Return networks of the released sizes."""
    return _networks(_FULL_UNET, _FULL_VAE, _FULL_WHISPER)


def tiny_networks() -> Networks:
    """Return those of the tests."""
    return _networks(UNET, VAE, WHISPER)


def _networks(unet: dict[str, Any], vae: dict[str, Any], whisper: dict[str, Any]) -> Networks:
    fields = {name: value for name, value in unet.items() if not name.startswith("_")}
    ears = WhisperModel(WhisperConfig(**whisper)).encoder
    return Networks(
        UNet2DConditionModel(**fields).eval(), AutoencoderKL(**vae).eval(), ears.eval(), AutoencoderTiny().eval()
    )
