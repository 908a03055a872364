"""Turns codec frames into sound as they come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from services.tts.sound import Sound

_LONGEST_PIECE_FRAMES = 150
"""Frames decoded in one go at most: bounds the memory that takes."""


class CodecWindow:
    """The frames of one utterance that were decoded last: what comes next needs them as context.

    The decoder attends to 72 frames and its convolutions reach further back: with 96 frames of context
    the pieces differ from a decoding of the whole by less than 1e-3 of full scale (measured: 3e-3 with
    80 frames, 0.3 with 72).
    """

    def __init__(self, decoder: Any, context: Tensor | None, context_frames: int) -> None:
        """`context` [frames, codebooks] goes before the utterance and is not heard: the reference's own frames."""
        self.decoder = decoder
        self._most_context = context_frames
        self._context = self._end_of(context) if context is not None else None

    def open(self, frames: Tensor) -> Tensor:
        """Return `frames` [frames, codebooks] behind their context; afterwards they are the context."""
        window = frames if self._context is None else torch.cat([self._context, frames])
        self._context = self._end_of(window)
        return window

    def _end_of(self, frames: Tensor) -> Tensor:
        return frames[max(0, len(frames) - self._most_context) :]

    def decode(self, frames: Tensor) -> Sound:
        """Return the sound of the next `frames` [frames, codebooks]."""
        return decode_together([self], [frames])[0]


def decode_together(windows: Sequence[CodecWindow], frames: Sequence[Tensor]) -> list[Sound]:
    """Return the sound of the next `frames` [frames, codebooks] of each window; none may be empty.

    A GPU decodes all rows in one go. A CPU does not: ten rows take it twenty times as long as one.
    """
    if len(windows) > 1 and not frames[0].is_cuda:
        return [decode_together([window], [some])[0] for window, some in zip(windows, frames, strict=True)]
    sounds: list[list[Sound]] = [[] for _ in windows]
    pieces = [torch.split(some, _LONGEST_PIECE_FRAMES) for some in frames]
    for number in range(max(len(some) for some in pieces)):
        rows = [row for row, some in enumerate(pieces) if number < len(some)]
        heard = _decode([windows[row] for row in rows], [pieces[row][number] for row in rows])
        for row, sound in zip(rows, heard, strict=True):
            sounds[row].append(sound)
    return [torch.cat([torch.from_numpy(sound) for sound in some]).numpy() for some in sounds]


@torch.inference_mode()
def _decode(windows: Sequence[CodecWindow], frames: Sequence[Tensor]) -> list[Sound]:
    """Decode one piece of each. The decoder is causal, so rows may be padded at their end."""
    decoder = windows[0].decoder
    opened = [window.open(some) for window, some in zip(windows, frames, strict=True)]
    sounds = decoder(pad_sequence(opened, batch_first=True).transpose(1, 2))[:, 0].float().cpu().numpy()
    per_frame = int(decoder.total_upsample)
    return [
        sound[(len(window) - len(some)) * per_frame : len(window) * per_frame]
        for sound, window, some in zip(sounds, opened, frames, strict=True)
    ]
