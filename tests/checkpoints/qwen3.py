"""Tiny Qwen3-TTS checkpoints with random weights, in the layout of the released ones: they speak noise.

The real `from_pretrained` loads them. Sizes that must agree:
- the codec's control codes are the topmost 1024 of the talker's vocabulary, the end among them;
- a speaker embedding is added to the talker's input, so both have one width;
- `assistant` must be one token, because prompts are cut at fixed positions.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file

from services.tts.engines.qwen3.libraries import prepare_imports

Kind = Literal["base", "custom_voice", "voice_design"]

CODEBOOKS = 16


@dataclass(frozen=True)
class Dimensions:
    """Sizes of a checkpoint's parts."""

    hidden: int = 32
    intermediate: int = 64
    layers: int = 2
    heads: int = 2
    key_value_heads: int = 1
    head: int = 16
    rope_sections: tuple[int, int, int] = (4, 2, 2)
    text_hidden: int = 32
    codes: int = 64
    predictor_hidden: int = 32
    predictor_intermediate: int = 64
    predictor_layers: int = 1
    full_codec: bool = False
    """Whether the codec's decoder has the released size; else it is tiny too."""


TINY = Dimensions()
_LARGE = Dimensions(
    hidden=1024,
    intermediate=3072,
    layers=28,
    heads=16,
    key_value_heads=8,
    head=128,
    rope_sections=(24, 20, 20),
    text_hidden=2048,
    codes=2048,
    predictor_hidden=1024,
    predictor_intermediate=3072,
    predictor_layers=5,
    full_codec=True,
)
SIZES = {"0.6b": _LARGE, "1.7b": replace(_LARGE, hidden=2048, intermediate=6144)}
"""The sizes of the released checkpoints, for benchmarks."""

_LANGUAGES = ("chinese", "english", "german", "italian", "portuguese", "spanish", "japanese", "korean", "french")
_SPEAKERS = ("ryan", "aiden", "sohee", "vivian")
_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tts_pad>", "<tts_text_bos>", "<tts_text_eod>")
_WORDS = ("assistant", "user")


def build_qwen3(
    folder: Path,
    kind: Kind = "base",
    *,
    size: str = "0b6",
    seed: int = 0,
    dimensions: Dimensions = TINY,
    endless: bool = False,
) -> Path:
    """Write a checkpoint into `folder` and return it; an `endless` one hardly ever comes to an end by itself."""
    prepare_imports()
    folder.mkdir(parents=True, exist_ok=True)
    ids, text_vocab = _write_tokenizer(folder)
    _write_talker(folder, kind, size, ids, text_vocab, seed, dimensions, endless)
    _write_codec(folder / "speech_tokenizer", dimensions)
    _write_json(folder / "processor_config.json", {"processor_class": "Qwen3TTSProcessor"})
    _write_json(
        folder / "generation_config.json",
        {
            "do_sample": True,
            "repetition_penalty": 1.05,
            "temperature": 0.9,
            "top_k": 50,
            "top_p": 1.0,
            "subtalker_dosample": True,
            "subtalker_temperature": 0.9,
            "subtalker_top_k": 50,
            "subtalker_top_p": 1.0,
            "max_new_tokens": 8192,
        },
    )
    return folder


def _write_talker(
    folder: Path,
    kind: Kind,
    size: str,
    ids: dict[str, int],
    text_vocab: int,
    seed: int,
    dimensions: Dimensions,
    endless: bool,
) -> None:
    from qwen_tts.core.models import Qwen3TTSConfig, Qwen3TTSForConditionalGeneration

    codes = dimensions.codes
    layers = {
        "hidden_size": dimensions.hidden,
        "intermediate_size": dimensions.intermediate,
        "num_attention_heads": dimensions.heads,
        "num_key_value_heads": dimensions.key_value_heads,
        "head_dim": dimensions.head,
        "hidden_act": "silu",
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1_000_000,
        "num_code_groups": CODEBOOKS,
        "attention_bias": False,
    }
    controls = ("pad", "bos", "eos_token", "think", "nothink", "think_bos", "think_eos")
    speakers = _SPEAKERS if kind == "custom_voice" else ()
    talker = layers | {
        "vocab_size": codes + 1024,
        "text_vocab_size": text_vocab,
        "text_hidden_size": dimensions.text_hidden,
        "num_hidden_layers": dimensions.layers,
        "position_id_per_seconds": 13,
        "rope_scaling": {"interleaved": True, "mrope_section": list(dimensions.rope_sections), "rope_type": "default"},
        "codec_language_id": {language: codes + 20 + at for at, language in enumerate(_LANGUAGES)},
        "spk_id": {speaker: codes + 200 + at for at, speaker in enumerate(speakers)},
        "spk_is_dialect": dict.fromkeys(speakers, False),
        "code_predictor_config": layers
        | {
            "vocab_size": codes,
            "hidden_size": dimensions.predictor_hidden,
            "intermediate_size": dimensions.predictor_intermediate,
            "num_hidden_layers": dimensions.predictor_layers,
        },
        **{f"codec_{name}_id": codes + 1 + at for at, name in enumerate(controls)},
    }
    config = {
        "model_type": "qwen3_tts",
        "architectures": ["Qwen3TTSForConditionalGeneration"],
        "tokenizer_type": "qwen3_tts_tokenizer_12hz",
        "tts_model_size": size,
        "tts_model_type": kind,
        "im_start_token_id": ids["<|im_start|>"],
        "im_end_token_id": ids["<|im_end|>"],
        "tts_pad_token_id": ids["<tts_pad>"],
        "tts_bos_token_id": ids["<tts_text_bos>"],
        "tts_eos_token_id": ids["<tts_text_eod>"],
        "speaker_encoder_config": {
            "mel_dim": 128,
            "enc_dim": dimensions.hidden,
            "enc_channels": [16, 16, 16, 16, 48],
            "enc_kernel_sizes": [5, 3, 3, 3, 1],
            "enc_dilations": [1, 2, 3, 4, 1],
            "enc_attention_channels": 8,
            "enc_res2net_scale": 8,
            "enc_se_channels": 8,
            "sample_rate": 24000,
        },
        "talker_config": talker,
    }
    model = Qwen3TTSForConditionalGeneration(Qwen3TTSConfig(**_settings(config)))
    _randomize(model, seed + 1)
    if endless:
        with torch.no_grad():
            model.talker.codec_head.weight.mul_(3)
            model.talker.codec_head.weight[model.config.talker_config.codec_eos_token_id] = 0
    _save(model, config, folder)


def _write_codec(folder: Path, dimensions: Dimensions) -> None:
    from qwen_tts.core import Qwen3TTSTokenizerV2Config, Qwen3TTSTokenizerV2Model
    from transformers import EncodecFeatureExtractor

    config = {
        "model_type": "qwen3_tts_tokenizer_12hz",
        "architectures": ["Qwen3TTSTokenizerV2Model"],
        "encoder_valid_num_quantizers": CODEBOOKS,
        "encoder_config": {
            "model_type": "mimi",
            "sampling_rate": 24000,
            "audio_channels": 1,
            "hidden_size": 16,
            "num_filters": 2,
            "num_residual_layers": 1,
            "upsampling_ratios": [8, 6, 5, 4],
            "codebook_size": dimensions.codes,
            "codebook_dim": 8,
            "num_quantizers": CODEBOOKS,
            "num_semantic_quantizers": 1,
            "vector_quantization_hidden_dimension": 8,
            "upsample_groups": 16,
            "num_hidden_layers": 1,
            "intermediate_size": 32,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "head_dim": 8,
            "max_position_embeddings": 8000,
            "sliding_window": 250,
            "rope_theta": 10000.0,
        },
        "decoder_config": {"codebook_size": dimensions.codes, "num_quantizers": CODEBOOKS}
        if dimensions.full_codec
        else {
            "codebook_size": dimensions.codes,
            "codebook_dim": 16,
            "latent_dim": 16,
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "head_dim": 8,
            "sliding_window": 72,
            "num_quantizers": CODEBOOKS,
            "upsample_rates": [8, 5, 4, 3],
            "upsampling_ratios": [2, 2],
            "decoder_dim": 32,
            "max_position_embeddings": 8000,
            "rope_theta": 10000.0,
        },
        "input_sample_rate": 24000,
        "output_sample_rate": 24000,
        "encode_downsample_rate": 1920,
        "decode_upsample_rate": 1920,
    }
    folder.mkdir(exist_ok=True)
    model = Qwen3TTSTokenizerV2Model(Qwen3TTSTokenizerV2Config(**_settings(config)))
    _randomize(model, 2)
    with torch.no_grad():
        model.decoder.decoder[-1].conv.weight.mul_(0.05)  # else everything is clipped
    _save(model, config, folder)
    EncodecFeatureExtractor(feature_size=1, sampling_rate=24000, padding_value=0.0).save_pretrained(folder)


def _write_tokenizer(folder: Path) -> tuple[dict[str, int], int]:
    """Write a byte-level BPE that knows single bytes and two words; return the special tokens' ids and the size."""
    vocab = {character: at for at, character in enumerate(_byte_characters())}
    merges: list[str] = []
    for word in _WORDS:
        for end in range(1, len(word)):
            merge = f"{word[:end]} {word[end]}"
            if merge not in merges:
                merges.append(merge)
            vocab.setdefault(word[: end + 1], len(vocab))
    ids = {token: len(vocab) + at for at, token in enumerate(_SPECIAL)}
    _write_json(folder / "vocab.json", vocab)
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", "utf-8")
    flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    _write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "Qwen2Tokenizer",
            "processor_class": "Qwen3TTSProcessor",
            "model_max_length": 131072,
            "errors": "replace",
            "eos_token": "<|im_end|>",
            "pad_token": "<|endoftext|>",
            "bos_token": None,
            "unk_token": None,
            "additional_special_tokens": _SPECIAL[1:],
            "added_tokens_decoder": {str(at): {"content": token} | flags for token, at in ids.items()},
        },
    )
    return ids, len(vocab) + len(ids)


def _byte_characters() -> Iterator[str]:
    """Yield the printable stand-in of each byte, as byte-level BPE writes them."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    stand_in = 0x100
    for byte in range(0x100):
        if byte in printable:
            yield chr(byte)
        else:
            yield chr(stand_in)
            stand_in += 1


def _randomize(model: torch.nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in [*model.named_parameters(), *model.named_buffers()]:
            leaf = name.rpartition(".")[2]
            if not value.is_floating_point() or "inv_freq" in name:
                continue
            if leaf in ("cluster_usage", "initialized") or "norm" in name:
                value.fill_(1.0)
            elif leaf in ("alpha", "beta", "bias"):
                value.zero_()
            elif "embed" in name:
                value.normal_(0, 1.0, generator=generator)
            else:
                fan_in = value[0].numel() if value.dim() > 1 else value.numel()
                value.normal_(0, fan_in**-0.5, generator=generator)


def _save(model: torch.nn.Module, config: dict[str, Any], folder: Path) -> None:
    """Write weights and the raw config: what `save_pretrained` writes does not load again."""
    weights = {name: value.detach().contiguous().clone() for name, value in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    _write_json(folder / "config.json", config)


def _settings(config: dict[str, Any]) -> dict[str, Any]:
    """Return a deep copy without the type: the config classes change what they are given."""
    copy: dict[str, Any] = json.loads(json.dumps({key: value for key, value in config.items() if key != "model_type"}))
    return copy


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1), "utf-8")
