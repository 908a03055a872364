"""What the networks hear: for every frame the Whisper features around it.

sound [samples] at 16 kHz
-> tokens [1500, 5, 384] for every 30 s, 50 a second     (`Ears.tokens`)
-> windows [frames, 50, 384]                             (`Hearing`: ten tokens of five layers a frame)
-> the same with places                                  (`with_places`)
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator
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

SEGMENT_SAMPLES = 30 * SAMPLE_RATE_HZ
SEGMENT_TOKENS = 30 * TOKENS_PER_S
_SEGMENTS_HELD = 2
_FRAMES_BEFORE = 2

Sound = npt.NDArray[np.float32]
"""[samples] at 16 kHz, -1..1."""


class Ears:
    """Whisper's encoder."""

    def __init__(self, encoder: Any) -> None:
        self._encoder = encoder
        self.device: torch.device = encoder.device
        self._mel = WhisperFeatureExtractor()

    @torch.inference_mode()
    def tokens(self, sound: Sound) -> Tensor:
        """Return all hidden states of up to 30 s of sound, [1500, 5, 384]; what is missing of 30 s is silence."""
        mel = self._mel(sound, sampling_rate=SAMPLE_RATE_HZ, return_tensors="pt").input_features
        states = self._encoder(mel.to(self._encoder.device), output_hidden_states=True).hidden_states
        return torch.stack(states, 2)[0]


def span_of(frame: int, fps: Fraction) -> tuple[int, int]:
    """Return the first token that frame `frame` hears, and the one after the last.

    They lie around floor(50 i / fps), in exact arithmetic, so that no rate drifts.
    """
    start = math.floor(frame * TOKENS_PER_S / fps) - _FRAMES_BEFORE * math.ceil(TOKENS_PER_S / fps)
    return start, start + TOKENS_PER_FRAME


class Hearing:
    """A piece of sound, heard as its frames are asked for: of ten minutes no more is held than of one.

    It is heard in segments of 30 s, one after the other; before and after it there is silence.
    """

    def __init__(self, ears: Ears, sound: Sound, fps: Fraction) -> None:
        self._ears, self._sound, self._fps = ears, sound, fps
        self._tokens = len(sound) * TOKENS_PER_S // SAMPLE_RATE_HZ
        self._segment = functools.lru_cache(_SEGMENTS_HELD)(self._heard)

    def window(self, frame: int) -> Tensor:
        """Return what frame `frame` hears, [50, 384]: ten tokens of five layers."""
        return torch.cat(list(self._between(*span_of(frame, self._fps)))).flatten(0, 1)

    def windows(self, frames: Iterable[int]) -> Tensor:
        """Return the windows of several frames, [frames, 50, 384]."""
        return torch.stack([self.window(frame) for frame in frames])

    def _between(self, start: int, stop: int) -> Iterator[Tensor]:
        """Yield the tokens from `start` to `stop`, in pieces [tokens, 5, 384]."""
        if start < 0 or start >= self._tokens:
            end = min(stop, 0) if start < 0 else stop
            yield torch.zeros(end - start, LAYERS, FEATURES, device=self._ears.device)
        else:
            number, offset = divmod(start, SEGMENT_TOKENS)
            end = min(stop, self._tokens, (number + 1) * SEGMENT_TOKENS)
            yield self._segment(number)[offset : offset + end - start]
        if end < stop:
            yield from self._between(end, stop)

    def _heard(self, number: int) -> Tensor:
        return self._ears.tokens(self._sound[number * SEGMENT_SAMPLES : (number + 1) * SEGMENT_SAMPLES])


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
