"""The loop that makes codec frames: a generator over batches of rows, which can be stopped at any frame.

The package's own `generate` runs to its end in one call. It is used here only to build the
talker's inputs; from there on the frames are ours to count, stream and stop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from services.contract.speech import Generation
from services.tts.engines.qwen3.sampling import Sampler


@dataclass(frozen=True)
class TalkerInputs:
    """What the talker is given before its first frame; rows are padded on the left."""

    embeds: Tensor
    """[rows, positions, hidden]"""
    attention_mask: Tensor
    """[rows, positions]"""
    trailing_text: Tensor
    """[rows, positions, hidden]: text that is fed in frame by frame."""
    pad_embed: Tensor


class _Captured(Exception):
    """Carries the talker's inputs out of the package's `generate`."""

    def __init__(self, inputs: TalkerInputs) -> None:
        self.inputs = inputs


def capture_inputs(talker: Any, generate: Callable[[], object]) -> TalkerInputs:
    """Return the inputs that `generate` would have given to `talker`, and stop it there."""

    def capture(module: object, args: object, fields: dict[str, Any]) -> None:
        raise _Captured(
            TalkerInputs(
                fields["inputs_embeds"],
                fields["attention_mask"],
                fields["trailing_text_hidden"],
                fields["tts_pad_embed"],
            )
        )

    hook = talker.register_forward_pre_hook(capture, with_kwargs=True)
    try:
        generate()
    except _Captured as captured:
        return captured.inputs
    finally:
        hook.remove()
    raise RuntimeError("the talker was never asked for a frame")


class FrameDecoder:
    """Makes the frames of several utterances side by side.

    `talker.rope_deltas` belongs to the module: one decoder at a time for each model.
    """

    @torch.inference_mode()
    def __init__(self, talker: Any, inputs: TalkerInputs, generation: Generation) -> None:
        self._talker = talker
        self._generation = generation
        self._trailing_text, self._pad_embed = inputs.trailing_text, inputs.pad_embed
        self._mask = inputs.attention_mask
        config = talker.config
        device = inputs.embeds.device
        self._eos = int(config.codec_eos_token_id)
        self._sampler = Sampler(len(inputs.embeds), config.vocab_size, self._eos, generation, device)
        self.rows = list(range(len(inputs.embeds)))
        """The rows that are still being made, as numbered in the inputs."""
        talker.rope_deltas = None
        self._output = talker(
            inputs_embeds=inputs.embeds,
            attention_mask=self._mask,
            trailing_text_hidden=self._trailing_text,
            tts_pad_embed=self._pad_embed,
            use_cache=True,
        )
        self._codes = self._sampler.draw(self._output.logits[:, -1])
        self._drop_ended()

    @torch.inference_mode()
    def frames(self) -> dict[int, Tensor]:
        """Make the next frame of each of `rows`, codes [codebooks]; those that end with it leave `rows`."""
        self._mask = torch.cat([self._mask, self._mask.new_ones(len(self._mask), 1)], 1)
        self._output = self._talker(
            input_ids=self._codes[:, None],
            attention_mask=self._mask,
            cache_position=torch.tensor([self._mask.shape[1] - 1], device=self._mask.device),
            past_key_values=self._output.past_key_values,
            past_hidden=self._output.past_hidden,
            generation_step=self._output.generation_step,
            trailing_text_hidden=self._trailing_text,
            tts_pad_embed=self._pad_embed,
            use_cache=True,
            subtalker_dosample=self._generation.do_sample,
            subtalker_top_k=self._generation.top_k,
            subtalker_top_p=self._generation.top_p,
            subtalker_temperature=self._generation.temperature,
        )
        made = dict(zip(self.rows, self._output.hidden_states[1], strict=True))
        self._codes = self._sampler.draw(self._output.logits[:, -1])
        self._drop_ended()
        return made

    def drop(self, row: int) -> None:
        """Make no more frames of `row`."""
        if row in self.rows:
            self._keep([kept for kept in self.rows if kept != row])

    def _drop_ended(self) -> None:
        ended = (self._codes == self._eos).tolist()
        if any(ended):
            self._keep([row for row, over in zip(self.rows, ended, strict=True) if not over])

    def _keep(self, rows: list[int]) -> None:
        """Go on with these rows only: the work of a frame grows with their number."""
        at = torch.tensor([self.rows.index(row) for row in rows], dtype=torch.long, device=self._mask.device)
        self.rows = rows
        if not rows:
            return
        self._codes, self._mask = self._codes[at], self._mask[at]
        self._trailing_text = self._trailing_text[at]
        self._sampler.keep(at)
        self._output.past_key_values.batch_select_indices(at)
        self._output.past_hidden = self._output.past_hidden[at]
        self._talker.rope_deltas = self._talker.rope_deltas[at]
