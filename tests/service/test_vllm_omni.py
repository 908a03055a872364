"""The vLLM-Omni engine against a stand-in that follows its documented API."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fastapi import FastAPI

from services.chassis.server import serve
from services.chassis.settings import ServiceSettings
from services.contract.errors import AtCapacity, EngineFailed, InvalidRequest, Unavailable
from services.contract.speech import AudioChunk, SpeechRequest, join_chunks
from services.tts.engine import Utterance
from services.tts.engines.vllm_omni import VllmOmniEngine
from tests.qwen3 import REFERENCE
from tests.service.vllm_omni import SAMPLES_PER_LETTER, create_vllm_omni


def with_server(visit: Callable[[VllmOmniEngine, FastAPI], None]) -> None:
    async def run() -> None:
        app = create_vllm_omni()
        async with serve(app, ServiceSettings()) as url:
            engine = VllmOmniEngine(url, "qwen3-tts")
            await asyncio.to_thread(visit, engine, app)
            engine.close()

    asyncio.run(run())


def spoken(engine: VllmOmniEngine, utterance: Utterance) -> AudioChunk:
    return join_chunks(list(engine.synthesize(utterance)))


def resolved(engine: VllmOmniEngine, **fields: Any) -> Utterance:
    return engine.resolve(SpeechRequest.model_validate({"text": "Hello", "language": "English"} | fields))


def test_sound_streams_through_whole() -> None:
    def visit(engine: VllmOmniEngine, app: FastAPI) -> None:
        engine.warm_up()
        assert [voice.name for voice in engine.voices()] == ["vivian", "ryan"]
        chunks = list(engine.synthesize(resolved(engine, voice="ryan", instruct="Softly.", seed=7)))
        assert len(chunks) > 3
        assert sum(chunk.samples for chunk in chunks) == 5 * SAMPLES_PER_LETTER
        assert set(join_chunks(chunks).pcm) == {0x00, 0x10}
        asked = app.state.asked[0]
        told = {name: asked[name] for name in ("input", "voice", "language", "instructions", "seed", "model")}
        assert told == {
            "input": "Hello",
            "voice": "ryan",
            "language": "English",
            "instructions": "Softly.",
            "seed": 7,
            "model": "qwen3-tts",
        }

    with_server(visit)


def test_a_gender_is_one_of_the_server_s_voices() -> None:
    def visit(engine: VllmOmniEngine, app: FastAPI) -> None:
        assert (resolved(engine, voice="male").voice, resolved(engine, voice="female").voice) == ("ryan", "vivian")

    with_server(visit)


def test_references_are_sent_along() -> None:
    def visit(engine: VllmOmniEngine, app: FastAPI) -> None:
        utterance = resolved(engine, reference="ab" * 32)
        assert spoken(engine, replace(utterance, reference=REFERENCE)).samples
        assert spoken(engine, replace(utterance, reference=replace(REFERENCE, transcript=""))).samples
        one, other = app.state.asked
        assert (one["task_type"], one["ref_text"], one["x_vector_only_mode"]) == ("Base", "hello there", False)
        assert ("ref_text" in other, other["x_vector_only_mode"]) == (False, True)
        assert "voice" not in one

    with_server(visit)


def test_its_refusals_are_told() -> None:
    def visit(engine: VllmOmniEngine, app: FastAPI) -> None:
        with pytest.raises(InvalidRequest, match="Invalid voice"):
            spoken(engine, resolved(engine, voice="nobody"))
        with pytest.raises(InvalidRequest, match="Finnish"):
            resolved(engine, language="Finnish")
        app.state.busy = True
        with pytest.raises(AtCapacity):
            spoken(engine, resolved(engine, voice="ryan"))

    with_server(visit)


def test_a_server_that_is_away() -> None:
    with pytest.raises(Unavailable, match="TTS_VLLM_URL"):
        VllmOmniEngine("")
    engine = VllmOmniEngine("http://127.0.0.1:1")
    for call in (engine.check, engine.voices):
        with pytest.raises(Unavailable, match="is away"):
            call()
    engine.close()


def test_a_server_that_breaks_off() -> None:
    def visit(engine: VllmOmniEngine, app: FastAPI) -> None:
        chunks = engine.synthesize(resolved(engine, voice="ryan", text="Hello " * 500))
        next(chunks)
        engine.close()
        with pytest.raises((EngineFailed, RuntimeError)):
            list(chunks)

    with_server(visit)
