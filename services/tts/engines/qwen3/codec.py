"""Turns codec frames into sound as they come."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from services.tts.sound import Sound


class CodecWindow:
    """Decodes one utterance piece by piece, each with the frames before it as context.

    The decoder attends to 72 frames and its convolutions reach further back: with 96 frames of context
    the pieces differ from a decoding of the whole by less than 1e-3 of full scale (measured: 3e-3 with
    80 frames, 0.3 with 72).
    """

    def __init__(self, decoder: Any, context: Tensor | None, context_frames: int) -> None:
        """`context` [frames, codebooks] goes before the utterance and is not heard: the reference's own frames."""
        self._decoder = decoder
        self._samples_per_frame = int(decoder.total_upsample)
        self._most_context = context_frames
        self._context = context[-context_frames:] if context is not None else None

    @torch.inference_mode()
    def decode(self, frames: Tensor) -> Sound:
        """Return the sound of the next `frames` [frames, codebooks]."""
        window = frames if self._context is None else torch.cat([self._context, frames])
        heard = self._decoder(window.T[None])[0, 0, (len(window) - len(frames)) * self._samples_per_frame :]
        self._context = window[-self._most_context :]
        sound: Sound = heard.float().cpu().numpy()
        return sound
