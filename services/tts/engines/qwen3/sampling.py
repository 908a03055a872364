"""Draws the next code of each row, in the order of operations of transformers' `generate`."""

from __future__ import annotations

import torch
from torch import Tensor

from services.contract.speech import Generation

_MIN_TOKENS = 2
"""Speech of no frames is not speech."""


class Sampler:
    """Samples one batch; the penalty for repeated codes is kept per row."""

    def __init__(self, rows: int, vocab_size: int, eos: int, generation: Generation, device: torch.device) -> None:
        self._generation = generation
        self._eos = eos
        self._seen = torch.zeros(rows, vocab_size, dtype=torch.bool, device=device)
        self._drawn = 0
        # The topmost codes are control tokens: of them only the end may be drawn.
        self._forbidden = torch.zeros(vocab_size, dtype=torch.bool, device=device)
        self._forbidden[vocab_size - 1024 :] = True
        self._forbidden[eos] = False

    def draw(self, logits: Tensor) -> Tensor:
        """Return one code for each row of `logits` [rows, vocab]."""
        logits = self._penalized(logits.float()).masked_fill(self._forbidden, -torch.inf)
        if self._drawn < _MIN_TOKENS:
            logits[:, self._eos] = -torch.inf
        codes = self._choose(logits)
        self._drawn += 1
        self._seen.scatter_(1, codes[:, None], True)
        return codes

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only."""
        self._seen = self._seen[rows]

    def _penalized(self, logits: Tensor) -> Tensor:
        penalty = self._generation.repetition_penalty
        return torch.where(self._seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)

    def _choose(self, logits: Tensor) -> Tensor:
        if not self._generation.do_sample or self._generation.temperature == 0:
            return logits.argmax(-1)
        logits = logits / self._generation.temperature
        lowest = logits.topk(min(self._generation.top_k, logits.shape[-1])).values[:, -1:]
        logits = logits.masked_fill(logits < lowest, -torch.inf)
        if self._generation.top_p < 1:
            logits = _nucleus(logits, self._generation.top_p)
        return torch.multinomial(logits.softmax(-1), 1).squeeze(1)


def _nucleus(logits: Tensor, top_p: float) -> Tensor:
    ascending, order = logits.sort(descending=False)
    unlikely = ascending.softmax(-1).cumsum(-1) <= 1 - top_p
    unlikely[:, -1] = False
    return logits.masked_fill(unlikely.scatter(1, order, unlikely), -torch.inf)
