"""A checkpoint in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from services.contract.errors import Unavailable
from services.contract.languages import LANGUAGE_NAMES
from services.tts.engine import Utterance
from services.tts.engines.qwen3.checkpoints import Checkpoint
from services.tts.engines.qwen3.codec import CodecWindow
from services.tts.engines.qwen3.decoding import FrameDecoder, capture_inputs
from services.tts.engines.qwen3.graphs import GraphDecoder
from services.tts.engines.qwen3.libraries import check_flash_attention, prepare_imports
from services.tts.engines.qwen3.prompts import PromptBook

_GRAPH_POSITIONS = 4096
"""Positions of the static cache behind the CUDA graphs: reference, text and two minutes of speech."""


@dataclass(frozen=True)
class Placement:
    """Where and how weights are loaded."""

    device: str = "cpu"
    dtype: str = "float32"
    flash_attention: bool = False


class Decoder(Protocol):
    """Makes frames until `rows` is empty."""

    rows: list[int]

    def frames(self) -> dict[int, Tensor]:
        """Make the next frame of each row, codes [codebooks]."""

    def drop(self, row: int) -> None:
        """Make no more frames of `row`."""


class QwenModel:
    """One checkpoint, loaded. One decoder at a time."""

    def __init__(self, checkpoint: Checkpoint, placement: Placement) -> None:
        prepare_imports()
        if placement.flash_attention:
            check_flash_attention()
        self.checkpoint = checkpoint
        self.key = checkpoint.key
        self._faster = _load_faster(checkpoint, placement) if placement.device.startswith("cuda") else None
        self._model: Any = self._faster.model if self._faster else _load_plain(checkpoint, placement)

    @property
    def size_bytes(self) -> int:
        """Memory the weights take."""
        modules = (self._model.model, self._model.model.speech_tokenizer.model)
        return sum(parameter.nbytes for module in modules for parameter in module.parameters())

    def prompt(self, prompts: PromptBook, utterance: Utterance) -> Any:
        """Return the prompt item of the utterance's reference, or None when it has none."""
        return prompts.prompt(self._model, self.key, utterance.reference) if utterance.reference else None

    def decoder(self, utterances: Sequence[Utterance], prompts: Sequence[Any]) -> Decoder:
        """Return the decoder for a batch; all of it shares the first one's way of sampling."""
        inputs = capture_inputs(self._model.model.talker, self._generate(utterances, prompts))
        if utterances[0].seed is not None:
            torch.manual_seed(utterances[0].seed)
        if self._faster and len(utterances) == 1:
            return GraphDecoder(self._faster, inputs, utterances[0].generation)
        return FrameDecoder(self._model.model.talker, inputs, utterances[0].generation)

    def window(self, prompt: Any, context_frames: int) -> CodecWindow:
        """Return what turns one utterance's frames into sound."""
        decoder = self._model.model.speech_tokenizer.model.decoder
        codes = prompt.ref_code if prompt is not None else None
        context = None if codes is None else codes.to(self._model.device)
        return CodecWindow(decoder, context, context_frames)

    def _generate(self, utterances: Sequence[Utterance], prompts: Sequence[Any]) -> Callable[[], object]:
        """Return the package's call for a batch. Only the inputs it builds are wanted: the sampling is ours."""
        fields: dict[str, Any] = {
            "text": [utterance.text for utterance in utterances],
            "language": [LANGUAGE_NAMES.get(utterance.language, "Auto") for utterance in utterances],
            "repetition_penalty": 1.0,
        }
        if self.checkpoint.kind == "base":
            return partial(self._model.generate_voice_clone, voice_clone_prompt=list(prompts), **fields)
        fields["instruct"] = [utterance.instruct for utterance in utterances]
        if self.checkpoint.kind == "voice_design":
            return partial(self._model.generate_voice_design, **fields)
        speakers = [utterance.voice for utterance in utterances]
        return partial(self._model.generate_custom_voice, speaker=speakers, **fields)


class ModelShelf:
    """The loaded checkpoints; the least recently used go when memory is short."""

    def __init__(self, placement: Placement, budget_bytes: int = 0) -> None:
        """`budget_bytes` bounds the weights held at once; 0 holds all."""
        self._placement = placement
        self._budget_bytes = budget_bytes
        self._models: OrderedDict[str, QwenModel] = OrderedDict()

    @property
    def loaded(self) -> list[str]:
        """Names of the checkpoints in memory."""
        return [model.checkpoint.name for model in list(self._models.values())]

    def get(self, checkpoint: Checkpoint) -> QwenModel:
        """Return the loaded checkpoint; loads it, and lets go of others, where needed."""
        key = checkpoint.key
        if key not in self._models:
            self._models[key] = QwenModel(checkpoint, self._placement)
        self._models.move_to_end(key)
        self._fit()
        return self._models[key]

    def _fit(self) -> None:
        while len(self._models) > 1 and self._budget_bytes and self._held_bytes() > self._budget_bytes:
            self._models.popitem(last=False)
            if self._placement.device.startswith("cuda"):
                torch.cuda.empty_cache()

    def _held_bytes(self) -> int:
        return sum(model.size_bytes for model in self._models.values())


def device_is_lost(error: RuntimeError) -> bool:
    """Whether a GPU will fail every call from now on; one that is only full will not."""
    if isinstance(error, torch.OutOfMemoryError):
        return False
    return isinstance(error, torch.AcceleratorError) or "CUDA error" in str(error)


def _load_plain(checkpoint: Checkpoint, placement: Placement) -> Any:
    from qwen_tts import Qwen3TTSModel

    return Qwen3TTSModel.from_pretrained(
        str(checkpoint.folder),
        device_map=placement.device,
        dtype=getattr(torch, placement.dtype),
        attn_implementation=_attention(placement),
    )


def _load_faster(checkpoint: Checkpoint, placement: Placement) -> Any:
    if not torch.cuda.is_available():
        raise Unavailable(f"TTS_DEVICE is {placement.device}, but torch finds no GPU here; set TTS_DEVICE=cpu.")
    from faster_qwen3_tts import FasterQwen3TTS

    return FasterQwen3TTS.from_pretrained(
        str(checkpoint.folder),
        device=placement.device,
        dtype=getattr(torch, placement.dtype),
        attn_implementation=_attention(placement),
        max_seq_len=_GRAPH_POSITIONS,
    )


def _attention(placement: Placement) -> str:
    return "flash_attention_2" if placement.flash_attention else "sdpa"
