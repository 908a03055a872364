"""Which checkpoints there are, and which of them a request needs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from services.contract.errors import InvalidRequest, Unavailable
from services.contract.speech import SpeechRequest, is_gender

Kind = Literal["base", "custom_voice", "voice_design"]

KIND_NAMES: Mapping[Kind, str] = {
    "base": "copies voices",
    "custom_voice": "has built-in voices",
    "voice_design": "makes voices from descriptions",
}


@dataclass(frozen=True)
class Checkpoint:
    """A folder of weights."""

    kind: Kind
    size: str
    folder: Path

    @property
    def name(self) -> str:
        """Its name in settings and answers, such as base_0.6b."""
        return f"{self.kind}_{self.size}"

    @property
    def key(self) -> str:
        """Its name, and what changes when the weights do."""
        weights = self.folder / "model.safetensors"
        stat = weights.stat() if weights.exists() else self.folder.stat()
        state = f"{self.folder.resolve()} {stat.st_size} {stat.st_mtime_ns}"
        return f"{self.name}@{hashlib.sha256(state.encode()).hexdigest()[:12]}"

    def speakers(self) -> list[str]:
        """Return the names of its built-in voices."""
        config = json.loads((self.folder / "config.json").read_text("utf-8"))
        return list(config["talker_config"].get("spk_id") or {})


class Checkpoints:
    """Those of the configured checkpoints that lie on this machine."""

    def __init__(self, folders: Mapping[tuple[Kind, str], Path], default: str) -> None:
        """`default` names the one that is preferred where a request leaves the choice, such as base_0.6b."""
        self._all = [Checkpoint(kind, size, folder) for (kind, size), folder in folders.items()]
        self._default_size = default.rpartition("_")[2]
        self.default = default

    def present(self) -> list[Checkpoint]:
        """Return those that can be loaded, the default one first."""
        there = [one for one in self._all if (one.folder / "config.json").is_file()]
        return sorted(there, key=lambda one: (one.name != self.default, one.size != self._default_size))

    def require_any(self) -> list[Checkpoint]:
        """Return those that can be loaded; raise `Unavailable` when there are none."""
        if present := self.present():
            return present
        folders = ", ".join(str(one.folder) for one in self._all)
        raise Unavailable(
            f"There are no Qwen3-TTS weights in {folders}; run `scripts/fetch-models qwen3-0.6b-base` "
            "or name a folder with MODEL_0_6B_BASE."
        )

    def by_key(self, key: str) -> Checkpoint:
        """Return the checkpoint a settled request named; raise `Unavailable` when it is gone."""
        for one in self.present():
            if one.key == key:
                return one
        raise Unavailable(f"The checkpoint {key} is no longer there; try again.")

    def choose(self, request: SpeechRequest) -> Checkpoint:
        """Return the checkpoint for `request`; raise `InvalidRequest` or `Unavailable` when there is none."""
        present = self.require_any()
        kind = self._kind(request)
        of_kind = [one for one in present if one.kind == kind]
        wanted = [one for one in of_kind if request.model_size in ("", one.size)]
        if not wanted:
            size = f"{request.model_size} " if request.model_size else ""
            have = ", ".join(one.name for one in present)
            raise Unavailable(
                f"No {size}checkpoint that {KIND_NAMES[kind]} is here ({have} is); see scripts/fetch-models."
            )
        if request.instruct and not request.model_size:
            # Of the built-in voices, only the larger model takes instructions.
            wanted = sorted(wanted, key=lambda one: one.size != "1.7b")
        return wanted[0]

    def speakers(self) -> dict[str, str]:
        """Return the built-in voices by their lower-case names."""
        return {
            speaker.lower(): speaker
            for one in self.present()
            if one.kind == "custom_voice"
            for speaker in one.speakers()
        }

    def _kind(self, request: SpeechRequest) -> Kind:
        if request.reference:
            return "base"
        if request.voice and not is_gender(request.voice):
            if request.voice.lower() in self.speakers():
                return "custom_voice"
            raise InvalidRequest(
                f"voice: {request.voice!r} is neither built into a checkpoint here nor stored; "
                "GET /v1/audio/voices lists those there are.",
                param="voice",
            )
        if request.instruct and any(one.kind == "voice_design" for one in self.present()):
            return "voice_design"
        if self.speakers():
            return "custom_voice"
        raise InvalidRequest(
            "voice: the checkpoint here copies voices; send ref_audio, or name a stored voice.", param="voice"
        )
