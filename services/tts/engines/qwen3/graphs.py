"""The same frames through CUDA graphs: several times faster for one utterance, on an NVIDIA GPU only."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from services.contract.speech import Generation
from services.tts.engines.qwen3.decoding import TalkerInputs


class GraphDecoder:
    """Makes the frames of one utterance with faster-qwen3-tts; the face of `FrameDecoder`."""

    def __init__(self, faster: Any, inputs: TalkerInputs, generation: Generation) -> None:
        """`faster` is a `FasterQwen3TTS`."""
        from faster_qwen3_tts.streaming import fast_generate_streaming

        faster.warmup(inputs.embeds.shape[1])
        talker = faster.model.model.talker
        talker.rope_deltas = None
        self.rows = [0]
        self._steps = fast_generate_streaming(
            talker=talker,
            talker_input_embeds=inputs.embeds,
            attention_mask=inputs.attention_mask,
            trailing_text_hiddens=inputs.trailing_text,
            tts_pad_embed=inputs.pad_embed,
            config=talker.config,
            predictor_graph=faster.predictor_graph,
            talker_graph=faster.talker_graph,
            max_new_tokens=generation.max_new_tokens,
            temperature=generation.temperature or 1.0,
            top_k=generation.top_k,
            top_p=generation.top_p,
            do_sample=generation.do_sample and generation.temperature > 0,
            repetition_penalty=generation.repetition_penalty,
            chunk_size=1,
        )

    def frames(self) -> dict[int, Tensor]:
        """Make the next frame, codes [codebooks]; nothing when the utterance has ended."""
        for codes, _ in self._steps:
            return {0: codes[0]}
        self.rows = []
        return {}

    def drop(self, row: int) -> None:
        """Make no more frames."""
        self.rows = []
        self._steps.close()
