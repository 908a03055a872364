"""Who speaks and how, as OpenAI's clients say it; the same fields wherever speech is asked for by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from services.contract.speech import AUTO, Generation, Manner, SpeechEngineInfo
from services.gateway.casting import size_of
from services.gateway.copying import Copying
from services.gateway.nulls import NullsUnsaid

_OPENAI_VOICES = {
    **dict.fromkeys(("alloy", "coral", "fable", "marin", "nova", "sage", "shimmer"), "female"),
    **dict.fromkeys(("ash", "ballad", "cedar", "echo", "onyx", "verse"), "male"),
}
"""What the names stand for that OpenAI's clients send by default; X-Talkie-Voice tells which voice spoke."""

_VLLM_OMNI_VOICES = dict.fromkeys(("Vivian", "vivian"), "female")
"""The same for vLLM-Omni's clients. Where voices are copied, somebody's own may be called so."""


class VoiceId(BaseModel):
    """A voice given as an object."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(max_length=100)


VoiceName = Annotated[str, Field(max_length=100)] | VoiceId


class VoiceFields(NullsUnsaid):
    """The fields that say who speaks, and how."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field("", max_length=100, description="An engine of /v1/models; other names leave the choice here.")
    voice: VoiceName = ""
    instructions: str = Field("", max_length=5_000, description="How to speak, for models that take it.")
    speed: float = Field(1.0, ge=0.25, le=4.0)
    language: str = Field(AUTO, max_length=40)
    pitch: float = Field(1.0, ge=0.5, le=2.0)
    model_size: str = Field("", max_length=10)
    ref_audio: str = Field("", description="Audio in base64, a data URL, a https URL, or the name of a stored voice.")
    ref_text: str = Field("", max_length=5_000)
    x_vector_only_mode: bool = False
    seed: int | None = Field(None, ge=0, lt=2**63)
    generation_params: Generation = Generation()
    use_cache: bool = True


async def manner_of(fields: VoiceFields, engines: Sequence[SpeechEngineInfo], copying: Copying) -> Manner:
    """Return the manner of speaking that `fields` describe; raises what `Copying` raises."""
    manner = Manner(
        voice=voice_of(fields.voice, engines),
        speed=fields.speed,
        pitch=fields.pitch,
        engine=fields.model if fields.model in [engine.engine for engine in engines] else "",
        model_size=size_of(fields.model_size),
        instruct=fields.instructions,
        generation=fields.generation_params,
        seed=fields.seed,
        use_cache=fields.use_cache,
    )
    return await copying.manner(manner, fields.ref_audio, fields.ref_text, x_vector_only=fields.x_vector_only_mode)


def voice_of(voice: str | VoiceId, engines: Sequence[SpeechEngineInfo]) -> str:
    """Return the voice to ask for; a name that clients send by default stands for a gender, unless an engine has it."""
    name = voice if isinstance(voice, str) else voice.id
    known = {known.name for engine in engines for known in engine.voices}
    copied = any(engine.cloning for engine in engines)
    stand_ins = _OPENAI_VOICES if copied else _OPENAI_VOICES | _VLLM_OMNI_VOICES
    return name if name in known else stand_ins.get(name, name)
