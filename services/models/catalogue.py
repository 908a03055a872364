"""What can be fetched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_APACHE = "Apache-2.0"


@dataclass(frozen=True)
class Model:
    """Files of one source that belong together, and where they go."""

    name: str
    folder: str
    """Below the models folder."""
    purpose: str
    licence: str
    disk_gb: float
    """About; the exact sizes are told by the source when it is asked."""
    vram_gb: float
    """About, while it works; 0 for models that run on a CPU."""
    repository: str = ""
    """On the Hugging Face Hub."""
    revision: str = "main"
    """Branch, tag or commit; the commit it turns out to be is written to the lock file and kept from then on."""
    below: str = ""
    """Folder of the repository that holds the files; empty for the whole of it."""
    only: tuple[str, ...] = ()
    """Files to take, where the repository holds the same weights in several formats."""
    urls: tuple[str, ...] = ()
    """Files that lie elsewhere."""
    sha256: Mapping[str, str] | None = None
    """By file name, where the source does not tell."""


def _qwen(name: str, repository: str, purpose: str, disk_gb: float, vram_gb: float) -> Model:
    return Model(f"qwen3-{name}", f"qwen3/{name}", purpose, _APACHE, disk_gb, vram_gb, f"Qwen/{repository}")


def _piper(voice: str, licence: str) -> Model:
    language, speaker, quality = voice.split("-")
    below = f"{language.split('_')[0]}/{language}/{speaker}/{quality}"
    purpose = f"a {language} voice for the piper engine"
    return Model(f"piper-{voice}", "piper", purpose, licence, 0.06, 0, "rhasspy/piper-voices", below=below)


_KOKORO = "https://github.com/thewh1teagle/kokoro-onnx/releases/download/model-files-v1.0"

MODELS: Mapping[str, Model] = {
    model.name: model
    for model in (
        _qwen("0.6b-base", "Qwen3-TTS-12Hz-0.6B-Base", "copies voices", 2.5, 4),
        _qwen("1.7b-base", "Qwen3-TTS-12Hz-1.7B-Base", "copies voices, better", 4.5, 7),
        _qwen("0.6b-custom-voice", "Qwen3-TTS-12Hz-0.6B-CustomVoice", "nine built-in voices", 2.5, 4),
        _qwen("1.7b-custom-voice", "Qwen3-TTS-12Hz-1.7B-CustomVoice", "nine built-in voices that take orders", 4.5, 7),
        _qwen("1.7b-voice-design", "Qwen3-TTS-12Hz-1.7B-VoiceDesign", "voices from descriptions", 4.5, 7),
        Model(
            "kokoro",
            "kokoro",
            "voices of eight languages for the kokoro engine",
            _APACHE,
            0.35,
            0,
            urls=(f"{_KOKORO}/kokoro-v1.0.onnx", f"{_KOKORO}/voices-v1.0.bin"),
        ),
        Model(
            "musetalk",
            "musetalk/musetalkV15",
            "lip-sync with the musetalk engine; needs the next two as well",
            "MIT",
            3.4,
            6,
            "TMElyralab/MuseTalk",
            below="musetalkV15",
        ),
        Model(
            "musetalk-vae",
            "musetalk/sd-vae",
            "the image model of the musetalk engine",
            "MIT",
            0.34,
            0,
            "stabilityai/sd-vae-ft-mse",
            only=("config.json", "diffusion_pytorch_model.safetensors"),
        ),
        Model(
            "musetalk-taesd",
            "musetalk/taesd",
            "a small decoder for the musetalk engine (AVATAR_MUSETALK_DECODER=taesd)",
            "MIT",
            0.01,
            0,
            "madebyollin/taesd",
            only=("config.json", "diffusion_pytorch_model.safetensors"),
        ),
        Model(
            "musetalk-whisper",
            "musetalk/whisper",
            "the ears of the musetalk engine",
            _APACHE,
            0.15,
            0,
            "openai/whisper-tiny",
            only=("config.json", "preprocessor_config.json", "model.safetensors"),
        ),
        _piper("en_US-ljspeech-medium", "public domain recordings; see MODEL_CARD"),
        _piper("de_DE-thorsten-medium", "CC0 recordings; see MODEL_CARD"),
        _piper("ru_RU-irina-medium", "see MODEL_CARD"),
        _piper("fr_FR-siwis-medium", "CC BY 4.0 recordings; see MODEL_CARD"),
        _piper("es_ES-davefx-medium", "see MODEL_CARD"),
    )
}
"""By name."""
