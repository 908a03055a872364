"""An engine in a process of its own: it may be killed, it may be left, and it says why it cannot start."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from services.chassis.server import serve
from services.contract.errors import ServiceError
from services.contract.speech import AudioChunk, SpeechRequest, join_chunks
from services.tts.app import create_app
from services.tts.engine import Utterance
from services.tts.engines.hosted import HostedEngine
from services.tts.settings import TtsSettings
from tests.checkpoints.kokoro import build_kokoro
from tests.clips import GOOD
from tests.qwen3 import DIGEST, REFERENCE, TinyQwen

LONG = "A sentence that goes on for quite a while, so that there is time to do something to it. " * 4


def settings_of(tiny: TinyQwen, **fields: object) -> TtsSettings:
    return TtsSettings.model_validate(
        {
            "port": 0,
            "engine": "qwen3",
            "threads": 1,
            "MODEL_0_6B_BASE": tiny.base,
            "MODEL_0_6B_CUSTOM_VOICE": tiny.custom_voice,
        }
        | fields
    )


@pytest.fixture(scope="module")
def engine(tiny_qwen: TinyQwen) -> Iterator[HostedEngine]:
    engine = HostedEngine("qwen3", settings_of(tiny_qwen))
    yield engine
    engine.close()


def copied(engine: HostedEngine, text: str, **fields: object) -> Utterance:
    request = SpeechRequest.model_validate({"text": text, "language": "en", "reference": DIGEST} | fields)
    return replace(engine.resolve(request), reference=REFERENCE)


async def until_loaded(client: httpx.AsyncClient) -> httpx.Response:
    """Return what readiness tells once nothing is being loaded any more."""
    for _ in range(600):
        told = await client.get("/health/ready")
        if "loading" not in told.text:
            return told
        await asyncio.sleep(0.1)
    raise AssertionError("it loads for ever")


def spoken(engine: HostedEngine, utterance: Utterance) -> AudioChunk:
    return join_chunks([chunk for chunk in engine.synthesize(utterance) if chunk.pcm])


def test_it_is_the_engine_it_hosts(engine: HostedEngine) -> None:
    assert (engine.name, engine.sample_rate_hz, engine.cloning) == ("qwen3", 24_000, True)
    assert "Ryan" in [voice.name for voice in engine.voices()]
    assert "ja" in engine.languages()
    assert engine.checkpoints() == ["base_0.6b", "custom_voice_0.6b"]
    first, again = (spoken(engine, copied(engine, "Hello there.", seed=2, live=False)) for _ in range(2))
    assert first.pcm == again.pcm
    engine.warm_up()
    engine.check()
    engine.forget(DIGEST)


def test_refusals_arrive_as_they_were(engine: HostedEngine) -> None:
    with pytest.raises(ServiceError) as refusal:
        engine.resolve(SpeechRequest(text="Hi", voice="nobody"))
    assert (refusal.value.status, refusal.value.param) == (422, "voice")


def test_many_at_once_get_each_their_own(engine: HostedEngine) -> None:
    utterances = [copied(engine, f"Number {number}.", seed=number) for number in range(4)]
    alone = [spoken(engine, utterance).pcm for utterance in utterances]
    results: dict[int, bytes] = {}

    def speak(number: int) -> None:
        results[number] = spoken(engine, utterances[number]).pcm

    threads = [threading.Thread(target=speak, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [results[number] for number in range(4)] == alone


def test_leaving_stops_the_work(engine: HostedEngine) -> None:
    chunks = engine.synthesize(copied(engine, LONG, seed=1))
    next(chunk for chunk in chunks if chunk.pcm)
    chunks.close()
    began = time.monotonic()
    spoken(engine, copied(engine, "Hi.", seed=1))
    assert time.monotonic() - began < 10  # the long one would go on for longer


def test_a_killed_process_fails_what_is_in_it_and_is_replaced(engine: HostedEngine) -> None:
    pid = engine.pid
    chunks = engine.synthesize(copied(engine, LONG, seed=1))
    next(chunk for chunk in chunks if chunk.pcm)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ServiceError, match="ended in the middle") as failure:
        list(chunks)
    assert (failure.value.code, failure.value.retryable) == ("engine_failed", True)
    assert spoken(engine, copied(engine, "Hi.", seed=1)).samples
    assert engine.pid != pid


def test_over_http_the_next_request_gets_a_working_engine(tiny_qwen: TinyQwen, tmp_path: Path) -> None:
    async def visit() -> None:
        settings = settings_of(tiny_qwen, voices_dir=tmp_path)
        app = create_app(settings)
        async with serve(app, settings) as url, httpx.AsyncClient(base_url=url, timeout=60) as client:
            await until_loaded(client)
            digest = (await client.post("/v1/references", content=GOOD)).json()["reference"]
            body = {"text": LONG, "reference": digest, "seed": 1}
            with pytest.raises(httpx.RemoteProtocolError):
                async with client.stream("POST", "/v1/speech", json=body) as answer:
                    async for _ in answer.aiter_raw():
                        os.kill((await app.state.speaker.engine()).pid, signal.SIGKILL)
            assert (await client.post("/v1/speech", json=body | {"text": "Hi."})).status_code == 200
            for _ in range(100):
                if not app.state.speaker.lane.busy:
                    return
                await asyncio.sleep(0.05)
            raise AssertionError("a lane hangs")

    asyncio.run(visit())


def test_without_weights_the_service_runs_and_says_what_to_do(tmp_path: Path) -> None:
    async def visit() -> None:
        settings = TtsSettings.model_validate({"port": 0, "engine": "qwen3", "models_dir": tmp_path})
        async with serve(create_app(settings), settings) as url, httpx.AsyncClient(base_url=url, timeout=60) as client:
            told = await until_loaded(client)
            assert told.status_code == 503
            assert "fetch-models" in told.json()["reason"]
            assert (await client.get("/health/live")).status_code == 200
            answer = await client.post("/v1/speech", json={"text": "Hi."})
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")

    asyncio.run(visit())


@pytest.mark.parametrize("name", ["kokoro", "piper"])
def test_missing_files_are_told_through_the_process(name: str, tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="fetch-models") as failure:
        HostedEngine(name, TtsSettings.model_validate({"models_dir": tmp_path}))  # type: ignore[arg-type]
    assert failure.value.status == 503


def test_kokoro_speaks_from_its_own_process(tmp_path: Path) -> None:
    model, voices = build_kokoro(tmp_path)
    engine = HostedEngine("kokoro", TtsSettings.model_validate({"kokoro_model": model, "kokoro_voices": voices}))
    try:
        speech = spoken(engine, engine.resolve(SpeechRequest(text="Hello there.", language="en")))
        assert speech.duration_s > 0.2
        assert any(mark.kind == "word" for mark in speech.marks)
    finally:
        engine.close()


def test_closing_is_quick(tmp_path: Path) -> None:
    model, voices = build_kokoro(tmp_path)
    engine = HostedEngine("kokoro", TtsSettings.model_validate({"kokoro_model": model, "kokoro_voices": voices}))
    began = time.monotonic()
    engine.close()
    assert time.monotonic() - began < 2  # it went by itself, before it would have been killed


def test_a_process_that_hangs_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, voices = build_kokoro(tmp_path)
    engine = HostedEngine("kokoro", TtsSettings.model_validate({"kokoro_model": model, "kokoro_voices": voices}))
    try:
        pid = engine.pid
        os.kill(pid, signal.SIGSTOP)
        monkeypatch.setattr("services.tts.engines.hosted._ANSWER_TIMEOUT_S", 0.5)
        with pytest.raises(ServiceError, match="hung"):
            engine.resolve(SpeechRequest(text="Hello there.", language="en"))
        monkeypatch.undo()
        assert engine.resolve(SpeechRequest(text="Hello there.", language="en")).language.startswith("en")
        assert engine.pid != pid
    finally:
        engine.close()
