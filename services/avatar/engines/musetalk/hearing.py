"""What the networks hear: for every frame the Whisper features around it.

sound [samples] at 16 kHz
-> tokens [tokens, 5, 384], 50 a second     (`Ears.tokens`)
-> windows [frames, 50, 384]                (`windows`: ten tokens of five layers a frame)
-> the same with places                     (`with_places`)
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from transformers import WhisperFeatureExtractor

SAMPLE_RATE_HZ = 16_000
TOKENS_PER_S = 50
TOKENS_PER_FRAME = 10
"""Two frames back and three ahead: at 25 fps a frame hears -80 to +120 ms."""

LAYERS = 5
FEATURES = 384

_SEGMENT_SAMPLES = 30 * SAMPLE_RATE_HZ
_LEFT_PADDING, _RIGHT_PADDING = 2, 6
"""Silent tokens before and after, in frames' worth of tokens."""

Sound = npt.NDArray[np.float32]
"""[samples] at 16 kHz, -1..1."""


class Ears:
    """Whisper's encoder."""

    def __init__(self, encoder: Any) -> None:
        self._encoder = encoder
        self._mel = WhisperFeatureExtractor()

    @torch.inference_mode()
    def tokens(self, sound: Sound) -> Tensor:
        """Return all hidden states of the sound, [tokens, 5, 384]: heard in segments of 30 s, one after the other."""
        segments = [sound[at : at + _SEGMENT_SAMPLES] for at in range(0, max(len(sound), 1), _SEGMENT_SAMPLES)]
        heard = torch.cat([self._segment(segment) for segment in segments])
        return heard[: len(sound) * TOKENS_PER_S // SAMPLE_RATE_HZ]

    def _segment(self, sound: Sound) -> Tensor:
        """Return [1500, 5, 384]; what is missing of 30 s is silence."""
        mel = self._mel(sound, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt").input_features
        states = self._encoder(mel.to(self._encoder.device), output_hidden_states=True).hidden_states
        return torch.stack(states, 2)[0]


def windows(tokens: Tensor, frames: int, fps: Fraction, first_frame: int = 0) -> Tensor:
    """Return what each of `frames` frames hears, [frames, 50, 384], of `tokens` [tokens, 5, 384].

    Frame i takes ten tokens from floor(50 i / fps) on, in exact arithmetic, so that no rate drifts.
    """
    per_frame = math.ceil(TOKENS_PER_S / fps)
    left = tokens.new_zeros(_LEFT_PADDING * per_frame, LAYERS, tokens.shape[-1])
    right = tokens.new_zeros(_RIGHT_PADDING * per_frame + TOKENS_PER_FRAME, LAYERS, tokens.shape[-1])
    padded = torch.cat([left, tokens, right])
    starts = [math.floor(frame * TOKENS_PER_S / fps) for frame in range(first_frame, first_frame + frames)]
    chosen = torch.stack([padded[start : start + TOKENS_PER_FRAME] for start in starts])
    return chosen.flatten(1, 2)


def places(length: int, features: int = FEATURES) -> Tensor:
    """Return the sinusoidal encoding of positions, [length, features]: sines at even features, cosines at odd ones."""
    position = torch.arange(length, dtype=torch.float32)[:, None]
    rates = torch.exp(torch.arange(0, features, 2, dtype=torch.float32) * (-math.log(10_000.0) / features))
    encoding = torch.empty(length, features)
    encoding[:, 0::2] = torch.sin(position * rates)
    encoding[:, 1::2] = torch.cos(position * rates)
    return encoding


def with_places(heard: Tensor) -> Tensor:
    """Return windows [frames, 50, 384] with the encoding of their positions added."""
    return heard + places(heard.shape[1], heard.shape[2]).to(heard)
