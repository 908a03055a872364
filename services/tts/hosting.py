"""What a service and an engine's own process say to each other: one line of JSON, then sound."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any, Literal

from pydantic import BaseModel, TypeAdapter

from services.contract.errors import Problem, RemoteError, ServiceError, problem_of
from services.contract.events import AudioEvent, audio_chunk, audio_event
from services.contract.speech import AudioChunk, SpeechRequest, Voice
from services.tts.engine import SpeechEngine, Utterance, checkpoints_of

_UTTERANCE: TypeAdapter[Utterance] = TypeAdapter(Utterance)


@dataclass(frozen=True)
class Order:
    """What the service wants."""

    do: Literal["make", "resolve", "speak", "stop", "warm_up", "check", "forget"]
    engine: str = ""
    settings: dict[str, Any] | None = None
    request: SpeechRequest | None = None
    utterance: Utterance | None = None
    digest: str = ""


class Introduction(BaseModel):
    """The engine is made; this is what it can do."""

    revision: str
    sample_rate_hz: int
    cloning: bool
    phoneme_marks: bool
    ipa: bool
    default_voice: str
    voices: list[Voice]
    languages: list[str]
    checkpoints: list[str]

    @classmethod
    def of(cls, engine: SpeechEngine) -> Introduction:
        """Return what `engine` can do."""
        return cls(
            revision=engine.revision,
            sample_rate_hz=engine.sample_rate_hz,
            cloning=engine.cloning,
            phoneme_marks=engine.phoneme_marks,
            ipa=engine.ipa,
            default_voice=engine.default_voice,
            voices=list(engine.voices()),
            languages=list(engine.languages()),
            checkpoints=checkpoints_of(engine),
        )


@dataclass(frozen=True)
class Answered:
    """The order is done."""

    utterance: Utterance | None = None


@dataclass(frozen=True)
class Chunk:
    """Some of the speech."""

    chunk: AudioChunk


@dataclass(frozen=True)
class Ended:
    """The speech is complete."""


@dataclass(frozen=True)
class Failed:
    """The order was refused, or broke."""

    problem: Problem
    retry_after_s: int | None = None

    @classmethod
    def of(cls, error: ServiceError) -> Failed:
        """Return `error` as a reply."""
        return cls(problem_of(error), error.retry_after_s)

    def error(self) -> ServiceError:
        """Return the error again."""
        return RemoteError(self.problem, self.retry_after_s)


Reply = Introduction | Answered | Chunk | Ended | Failed


def pack_order(number: int, order: Order) -> bytes:
    """Return the message for an order."""
    pcm, utterance = b"", order.utterance
    if utterance is not None and utterance.reference is not None:
        pcm = utterance.reference.pcm
        utterance = replace(utterance, reference=replace(utterance.reference, pcm=b""))
    line = {
        "number": number,
        "do": order.do,
        "engine": order.engine,
        "settings": order.settings,
        "request": order.request.model_dump(mode="json") if order.request else None,
        "utterance": _UTTERANCE.dump_python(utterance, mode="json") if utterance else None,
        "digest": order.digest,
    }
    return _message(line, pcm)


def unpack_order(message: bytes) -> tuple[int, Order]:
    """Return the order in a message, and its number."""
    line, pcm = _parts(message)
    utterance = _UTTERANCE.validate_python(line["utterance"]) if line["utterance"] else None
    if utterance is not None and utterance.reference is not None:
        utterance = replace(utterance, reference=replace(utterance.reference, pcm=pcm))
    request = SpeechRequest.model_validate(line["request"]) if line["request"] else None
    return line["number"], Order(line["do"], line["engine"], line["settings"], request, utterance, line["digest"])


def pack_reply(number: int, reply: Reply) -> bytes:
    """Return the message for a reply."""
    if isinstance(reply, Chunk):
        event = audio_event(reply.chunk).model_dump(mode="json")
        return _message({"number": number, "is": "chunk", "event": event}, reply.chunk.pcm)
    if isinstance(reply, Introduction):
        return _message({"number": number, "is": "introduction", "about": reply.model_dump(mode="json")})
    if isinstance(reply, Failed):
        problem = reply.problem.model_dump(mode="json")
        return _message({"number": number, "is": "failed", "problem": problem, "retry_after_s": reply.retry_after_s})
    if isinstance(reply, Answered):
        utterance = _UTTERANCE.dump_python(reply.utterance, mode="json") if reply.utterance else None
        return _message({"number": number, "is": "answered", "utterance": utterance})
    return _message({"number": number, "is": "ended"})


def unpack_reply(message: bytes) -> tuple[int, Reply]:
    """Return the reply in a message, and the number of its order."""
    line, pcm = _parts(message)
    return line["number"], _reply(line, pcm)


def _reply(line: dict[str, Any], pcm: bytes) -> Reply:
    if line["is"] == "chunk":
        return Chunk(audio_chunk(AudioEvent.model_validate(line["event"]), pcm))
    if line["is"] == "introduction":
        return Introduction.model_validate(line["about"])
    if line["is"] == "failed":
        return Failed(Problem.model_validate(line["problem"]), line["retry_after_s"])
    if line["is"] == "answered":
        return Answered(_UTTERANCE.validate_python(line["utterance"]) if line["utterance"] else None)
    return Ended()


def _message(line: dict[str, Any], payload: bytes = b"") -> bytes:
    return json.dumps(line).encode() + b"\n" + payload


def _parts(message: bytes) -> tuple[dict[str, Any], bytes]:
    line, _, payload = message.partition(b"\n")
    parsed: dict[str, Any] = json.loads(line)
    return parsed, payload
