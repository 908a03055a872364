"""The Piper voices in a folder."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cachetools import LRUCache
from piper import PiperVoice

from services.contract.errors import InvalidRequest, Unavailable
from services.contract.speech import Voice
from services.tts.engines.failures import loading
from services.tts.engines.files import require_files

CURE = "run `scripts/fetch-models piper`"
"""Where voices come from."""

_WOMEN = """
    alba amy cori eva_k hfc_female huayan irina jenny_dioco kathleen kerstin kristin lessac ljspeech paola ramona siwis
    southern_english_female
"""
_MEN = """
    alan bryce danny davefx denis dmitri faber gilles hfc_male joe john karlsson northern_english_male norman riccardo
    ruslan ryan thorsten tom
"""
_GENDERS: Mapping[str, Literal["female", "male"]] = {
    **dict.fromkeys(_WOMEN.split(), "female"),
    **dict.fromkeys(_MEN.split(), "male"),
}
"""Of published voices, by whose they are: the second part of their names. Their files do not tell."""


@dataclass(frozen=True)
class VoiceFiles:
    """A voice that can be loaded."""

    name: str
    model: Path
    language: str
    """BCP 47 tag."""
    language_name: str
    sample_rate_hz: int
    speakers: Mapping[str, int]
    """Ids by name; empty where there is only one."""

    @property
    def voice(self) -> Voice:
        """What is told of it."""
        examples = ", ".join(f"{self.name}#{speaker}" for speaker in list(self.speakers)[:2])
        description = f"{len(self.speakers)} speakers: {examples} ..." if self.speakers else ""
        gender = _GENDERS.get(self.name.partition("-")[2].partition("-")[0], "neutral")
        return Voice(name=self.name, language=self.language, gender=gender, description=description)

    def speaker(self, name: str) -> int | None:
        """Return the id of a speaker, None for the usual one."""
        if not name:
            return None
        if name not in self.speakers:
            known = ", ".join(list(self.speakers)[:5]) or "only one"
            raise InvalidRequest(f"voice: {self.name} has no speaker {name!r}; it has {known}.", param="voice")
        return self.speakers[name]


class VoiceShelf:
    """Loads voices when they are first asked for, and keeps `most` of them."""

    def __init__(self, most: int) -> None:
        self._loaded: LRUCache[Path, PiperVoice] = LRUCache(most)
        self._lock = threading.Lock()

    def get(self, files: VoiceFiles) -> PiperVoice:
        """Return the voice; raise `Unavailable` when it cannot be loaded."""
        with self._lock:
            voice = self._loaded.get(files.model)
            if voice is None:
                voice = self._loaded[files.model] = _loaded(files.model)
            return voice


def voices_in(folder: Path) -> list[VoiceFiles]:
    """Return the voices whose model and description both lie in `folder`; raise `Unavailable` when there are none."""
    found = [_described(model) for model in sorted(folder.glob("*.onnx")) if _description(model).is_file()]
    if not found:
        raise Unavailable(f"There is no voice (NAME.onnx with NAME.onnx.json) in {folder}; {CURE}.")
    return found


def _loaded(model: Path) -> PiperVoice:
    require_files(model, _description(model), cure=CURE)
    with loading(str(model), CURE):
        return PiperVoice.load(model, include_alignments=True)


def _description(model: Path) -> Path:
    return model.with_name(f"{model.name}.json")


def _described(model: Path) -> VoiceFiles:
    with loading(str(_description(model)), CURE):
        config: dict[str, Any] = json.loads(_description(model).read_text("utf-8"))
        language = config.get("language", {})
        code = language.get("code") or config["espeak"]["voice"]
        return VoiceFiles(
            name=model.stem,
            model=model,
            language=_tag(code),
            language_name=language.get("name_english", ""),
            sample_rate_hz=config["audio"]["sample_rate"],
            speakers=config.get("speaker_id_map") or {},
        )


def _tag(code: str) -> str:
    """Return a code such as en_US or en-us as a BCP 47 tag."""
    primary, *rest = code.replace("_", "-").split("-")
    return "-".join([primary.lower(), *(part.upper() if len(part) == 2 else part for part in rest)])
