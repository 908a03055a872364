"""Engines over tiny Qwen3-TTS checkpoints."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from services.contract.speech import SpeechRequest
from services.tts.engine import Reference, Utterance
from services.tts.engines.qwen3.checkpoints import Checkpoints
from services.tts.engines.qwen3.engine import QwenEngine
from services.tts.engines.qwen3.model import ModelShelf, Placement
from services.tts.engines.qwen3.prompts import PromptBook, PromptShelf
from services.tts.sound import Sound, pcm_of
from tests.checkpoints.qwen3 import build_qwen3

DIGEST = "ab" * 32
RATE_HZ = 24_000

_ON_CPU = Placement()


@dataclass(frozen=True)
class TinyQwen:
    """Folders of tiny checkpoints."""

    base: Path
    custom_voice: Path
    large_custom_voice: Path
    voice_design: Path

    @classmethod
    def build(cls, folder: Path) -> TinyQwen:
        """Write them below `folder`."""
        return cls(
            base=build_qwen3(folder / "base"),
            custom_voice=build_qwen3(folder / "custom", "custom_voice", seed=1),
            large_custom_voice=build_qwen3(folder / "custom-large", "custom_voice", size="1b7", seed=2),
            voice_design=build_qwen3(folder / "design", "voice_design", size="1b7", seed=3),
        )

    def environment(self) -> dict[str, str]:
        """Return the variables that make a service use them."""
        return {
            "TTS_ENGINE": "qwen3",
            "TTS_DEVICE": "cpu",
            "TTS_THREADS": "1",
            "MODEL_0_6B_BASE": str(self.base),
            "MODEL_0_6B_CUSTOM_VOICE": str(self.custom_voice),
            "MODEL_1_7B_CUSTOM_VOICE": str(self.large_custom_voice),
            "MODEL_1_7B_VOICE_DESIGN": str(self.voice_design),
        }


@contextmanager
def qwen_engine(
    tiny: TinyQwen,
    *,
    only_base: bool = False,
    shelf: PromptShelf | None = None,
    budget_bytes: int = 0,
    batch: int = 8,
    placement: Placement = _ON_CPU,
) -> Iterator[QwenEngine]:
    """Give an engine in this process."""
    torch.set_num_threads(1)  # more are slower with tiny tensors
    folders = {("base", "0.6b"): tiny.base}
    if not only_base:
        folders |= {
            ("custom_voice", "0.6b"): tiny.custom_voice,
            ("custom_voice", "1.7b"): tiny.large_custom_voice,
            ("voice_design", "1.7b"): tiny.voice_design,
        }
    engine = QwenEngine(
        Checkpoints(folders, "base_0.6b"),  # type: ignore[arg-type]
        ModelShelf(placement, budget_bytes),
        PromptBook(8, shelf),
        most_together=batch,
        most_live_together=1 if placement.device.startswith("cuda") else batch,
    )
    try:
        yield engine
    finally:
        engine.close()


def voice_like(duration_s: float = 2.0, pitch_hz: float = 150.0) -> Sound:
    """Return a sound with a voice's loudness, pitch and rhythm."""
    at = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    phase = 2 * np.pi * pitch_hz * (at + 0.02 * np.sin(2 * np.pi * 3 * at))
    sound: Sound = (0.3 * (np.sin(phase) + 0.3 * np.sin(2 * phase)) * (0.6 + 0.4 * np.sin(7 * at))).astype(np.float32)
    return sound


REFERENCE = Reference(DIGEST, pcm_of(voice_like()), "hello there")


def copied(engine: QwenEngine, text: str, reference: Reference = REFERENCE, **fields: object) -> Utterance:
    """Return what `engine` makes of a request to speak `text` in the voice of `reference`."""
    from dataclasses import replace

    asked = SpeechRequest.model_validate({"text": text, "language": "English", "reference": DIGEST} | fields)
    return replace(engine.resolve(asked), reference=reference)
