"""Imports `qwen_tts`, which asks for libraries that 12 Hz checkpoints never use."""

from __future__ import annotations

import importlib.util
import io
import logging
import os
import sys
from contextlib import redirect_stdout
from importlib.machinery import ModuleSpec
from types import ModuleType

from services.contract.errors import Unavailable

_UNUSED = ("torchaudio", "torchaudio.compliance", "torchaudio.compliance.kaldi", "sox")
"""Only the 25 Hz tokenizer's code uses them; torchaudio's wheels break beside a torch of another build."""


def prepare_imports() -> None:
    """Make `qwen_tts` importable, or raise `Unavailable` with how to install it."""
    for name in ("torch", "transformers", "qwen_tts"):
        if name not in sys.modules and importlib.util.find_spec(name) is None:
            raise Unavailable(f"The qwen3 engine needs {name}; run `scripts/install-engine qwen3`.")
    # Weights are files of this machine; a hub is asked only by fetch-models.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    for name in _UNUSED:
        if name not in sys.modules:
            module = ModuleType(name)
            module.__spec__ = ModuleSpec(name, None, is_package=True)
            module.__path__ = []
            sys.modules[name] = module
    compliance = sys.modules["torchaudio.compliance"]
    sys.modules["torchaudio"].compliance = compliance  # type: ignore[attr-defined]
    compliance.kaldi = sys.modules["torchaudio.compliance.kaldi"]  # type: ignore[attr-defined]
    with redirect_stdout(io.StringIO()):  # where it recommends flash-attn, with asterisks
        importlib.import_module("qwen_tts")
    importlib.import_module("transformers").utils.logging.disable_progress_bar()
    logging.getLogger("qwen_tts").setLevel(logging.WARNING)


def check_flash_attention() -> None:
    """Raise `Unavailable` when flash-attn was asked for and is not there."""
    if importlib.util.find_spec("flash_attn") is None:
        raise Unavailable(
            "TTS_USE_FLASH_ATTENTION is set but flash-attn is not installed; "
            "run `pip install flash-attn --no-build-isolation` or unset it."
        )
