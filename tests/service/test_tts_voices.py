"""Stored voices, references and the cache of the tts service, with an engine that copies voices."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Generator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest

from services.chassis.server import serve
from services.contract.errors import AtCapacity, EngineFailed, InvalidRequest
from services.contract.events import decode_speech
from services.contract.speech import AudioChunk, SpeechRequest, Voice, join_chunks
from services.tts.app import create_app
from services.tts.engine import Utterance
from services.tts.settings import TtsSettings
from services.tts.sound import pcm_of
from tests.clips import BAD, GOOD, wav
from tests.qwen3 import voice_like


class HummingEngine:
    """Copies the level of the reference: every letter is 50 ms of hum, as loud as its digest's first byte."""

    name = "qwen3"
    revision = "1"
    sample_rate_hz = 24_000
    cloning = True
    ipa = False
    phoneme_marks = False
    default_voice = "hum"

    def __init__(self) -> None:
        self.spoken: list[Utterance] = []
        self.forgotten: list[str] = []
        self.broken = self.busy = self.mute = self.cuts = False

    def voices(self) -> Sequence[Voice]:
        return [Voice(name="hum", language="multi", gender="neutral")]

    def languages(self) -> Sequence[str]:
        return ["en"]

    def resolve(self, request: SpeechRequest) -> Utterance:
        if request.language == "Klingon":
            raise InvalidRequest("language: not that one.", param="language")
        notices = ("speed has no effect.",) if request.speed != 1 else ()
        return Utterance(request.text, request.voice or "hum", "en", model="hum", seed=request.seed, notices=notices)

    def synthesize(self, utterance: Utterance) -> Generator[AudioChunk, None, None]:
        if self.broken:
            raise EngineFailed("It broke.")
        if self.busy:
            raise AtCapacity("It is busy.")
        if self.mute:
            return
        self.spoken.append(utterance)
        level = int(utterance.reference.digest[:2], 16) / 256 if utterance.reference else 0.1
        for _ in utterance.text:
            yield AudioChunk(b"", self.sample_rate_hz)
            yield AudioChunk(pcm_of(np.full(1200, level, np.float32)), self.sample_rate_hz)
        if self.cuts:
            yield AudioChunk(bytes(2), self.sample_rate_hz, notices=("It ran on.",), takes=3, cut=True)

    def warm_up(self) -> None:
        pass

    def check(self) -> None:
        pass

    def forget(self, digest: str) -> None:
        self.forgotten.append(digest)

    def close(self) -> None:
        pass


@asynccontextmanager
async def service(folder: Path, **fields: object) -> AsyncIterator[tuple[httpx.AsyncClient, HummingEngine]]:
    settings = TtsSettings.model_validate({"port": 0, "engine": "qwen3", "voices_dir": folder} | fields)
    engine = HummingEngine()
    async with (
        serve(create_app(settings, engine), settings) as url,  # type: ignore[arg-type]
        httpx.AsyncClient(base_url=url, timeout=30) as client,
    ):
        yield client, engine


async def speak(client: httpx.AsyncClient, **fields: object) -> httpx.Response:
    return await client.post("/v1/speech", json={"text": "Hello", "language": "en"} | fields)


async def store(client: httpx.AsyncClient, name: str = "Ann", clip: bytes = GOOD, **fields: str) -> httpx.Response:
    return await client.post("/v1/voices", data={"name": name} | fields, files={"audio_sample": clip})


def test_a_voice_is_stored_used_by_name_and_forgotten(tmp_path: Path) -> None:
    async def visit() -> None:
        async with service(tmp_path) as (client, engine):
            stored = await store(client, transcript="This is what Ann says in the clip, all of it.")
            assert stored.status_code == 201
            digest = stored.json()["reference"]
            for name in ("Ann", "ann", stored.json()["id"]):
                answer = await speak(client, voice=name)
                assert (answer.status_code, answer.headers["x-talkie-voice"]) == (200, "Ann")
            [utterance] = engine.spoken  # the others came from the cache
            assert utterance.reference is not None
            assert (utterance.reference.digest, utterance.reference.transcript[:7]) == (digest, "This is")
            assert [voice["name"] for voice in (await client.get("/v1/voices")).json()] == ["Ann"]

            assert (await client.get("/v1/cache/stats")).json()["cache_size"] == 1
            assert (await client.delete("/v1/voices/ann")).status_code == 200
            assert engine.forgotten == [digest]
            assert (await client.get("/v1/cache/stats")).json()["cache_size"] == 0
            assert (await client.delete("/v1/voices/ann")).status_code == 404

    asyncio.run(visit())
    assert list(tmp_path.glob("voices/*")) == []


def test_a_stored_voice_can_be_the_one_of_requests_that_name_none(tmp_path: Path) -> None:
    async def visit() -> None:
        async with service(tmp_path, qwen3_voice="Ann") as (client, engine):
            assert (await speak(client, text="Nobody yet")).headers["x-talkie-voice"] == "Ann"
            await store(client, transcript="This is what Ann says in the clip, all of it.")
            assert (await speak(client)).headers["x-talkie-voice"] == "Ann"
            assert (await speak(client, voice="hum")).headers["x-talkie-voice"] == "hum"
            before, ann, other = engine.spoken
            assert ann.reference is not None
            assert before.reference is other.reference is None

    asyncio.run(visit())


def test_voices_outlive_the_service(tmp_path: Path) -> None:
    async def visit() -> None:
        async with service(tmp_path) as (client, _):
            await store(client, "Benjamin Ö.")
        async with service(tmp_path) as (client, engine):
            answer = await speak(client, voice="Benjamin Ö.")
            assert answer.headers["x-talkie-voice"] == "Benjamin %C3%96."
            assert engine.spoken[0].reference is not None

    asyncio.run(visit())


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("", 422),
        ("../etc", 422),
        ("a/b", 422),
        ("x" * 65, 422),
        ("hum", 422),
        ("Female", 422),
        ("H.u m", 201),
        ("voice_ann", 422),
        ("\U00020000" * 60, 422),
        ("Ann", 409),
    ],
)
def test_bad_names(tmp_path: Path, name: str, status: int) -> None:
    async def visit() -> None:
        async with service(tmp_path) as (client, _):
            await store(client, "ann")
            assert (await store(client, name)).status_code == status
            assert len((await client.get("/v1/voices")).json()) == 1 + (status == 201)
            assert (await speak(client, voice=name or "hum")).status_code == 200

    asyncio.run(visit())


@pytest.mark.parametrize("kind", BAD)
def test_bad_clips_are_neither_stored_nor_kept(tmp_path: Path, kind: str) -> None:
    clip, status = BAD[kind]

    async def visit() -> None:
        async with service(tmp_path) as (client, _):
            assert (await store(client, "Ann", clip)).status_code == (422 if not clip else status) or not clip
            assert (await client.post("/v1/references", content=clip)).status_code == status
            assert (await client.get("/v1/voices")).json() == []

    asyncio.run(visit())


def test_a_consent_can_be_made_mandatory(tmp_path: Path) -> None:
    async def visit() -> None:
        async with service(tmp_path, require_consent=True) as (client, _):
            assert (await store(client)).json()["param"] == "consent"
            assert (await store(client, consent="cons_0123456789abcdef")).status_code == 422
            assert (await client.post("/v1/references", content=GOOD)).status_code == 422
            consent = await client.post("/v1/consents", data={"name": "Ann"}, files={"recording": GOOD})
            assert consent.status_code == 201
            assert (await store(client, consent=consent.json()["id"])).status_code == 201
            assert (await speak(client, voice="Ann")).status_code == 200
        async with service(tmp_path) as (client, _):
            await store(client, "Before")
        async with service(tmp_path, require_consent=True) as (client, _):
            assert (await speak(client, voice="Before")).status_code == 422
            assert (await client.delete("/v1/voices/Before")).status_code == 200

    asyncio.run(visit())


def test_references_are_named_by_their_digest(tmp_path: Path) -> None:
    async def visit() -> None:
        async with service(tmp_path) as (client, engine):
            digest = (await client.post("/v1/references", content=GOOD)).json()["reference"]
            answer = await speak(client, reference=digest)
            assert "timbre alone" in answer.headers["x-talkie-notice"]
            assert engine.spoken[0].reference is not None
            assert (await speak(client, reference="ab" * 32)).status_code == 404
            assert (await speak(client, reference="nonsense")).status_code == 422
            too_fast = await speak(client, reference=digest, transcript="word " * 200)
            assert (too_fast.status_code, too_fast.json()["param"]) == (422, "ref_text")

    asyncio.run(visit())


def test_the_cache_knows_everything_that_changes_the_sound(tmp_path: Path) -> None:
    async def visit() -> None:
        async with service(tmp_path) as (client, engine):
            digests = [
                (await client.post("/v1/references", content=wav(voice_like(4, pitch)))).json()["reference"]
                for pitch in (120, 200)
            ]
            different: list[dict[str, object]] = [
                {},
                {"text": "Hallo"},
                {"seed": 1},
                {"seed": 2},
                {"reference": digests[0]},
                {"reference": digests[1]},
                {"reference": digests[0], "transcript": "What is said in these four seconds."},
            ]
            for fields in different:
                assert (await speak(client, **fields)).headers["x-talkie-cache"] == "miss"
            for fields in different:
                assert (await speak(client, **fields)).headers["x-talkie-cache"] == "hit"
            assert len(engine.spoken) == len(different)
            other_rate = await speak(client, sample_rate_hz=16_000)
            assert other_rate.headers["x-talkie-cache"] == "hit"
            assert join_chunks(decode_speech(other_rate.content)).sample_rate_hz == 16_000
            assert (await speak(client, use_cache=False)).headers["x-talkie-cache"] == "miss"
            stats = (await client.get("/v1/cache/stats")).json()
            assert (stats["hits"], stats["misses"], stats["hit_rate"]) == (8, 7, 53.33)
            assert (await client.delete("/v1/cache/clear")).json() == {"removed": 7}
            assert (await speak(client)).headers["x-talkie-cache"] == "miss"

    asyncio.run(visit())


def test_what_was_kept_sounds_as_it_did(tmp_path: Path) -> None:
    async def visit() -> None:
        async with service(tmp_path) as (client, _):
            made, kept = [join_chunks(decode_speech((await speak(client)).content)) for _ in range(2)]
            assert (made.pcm, made.marks) == (kept.pcm, kept.marks)
            assert [mark.text for mark in kept.marks] == ["Hello"]
            assert kept.marks[0].approximate

    asyncio.run(visit())


def test_what_has_no_effect_is_told_to_whoever_asked_for_it(tmp_path: Path) -> None:
    async def visit() -> None:
        async with service(tmp_path) as (client, _):
            for speed, cache, notice in (
                (2, "miss", "speed has no effect."),
                (1, "hit", None),
                (3, "hit", "speed has"),
            ):
                headers = (await speak(client, speed=speed)).headers
                assert headers["x-talkie-cache"] == cache
                assert (notice or "") in headers.get("x-talkie-notice", "")
                assert ("x-talkie-notice" in headers) == (notice is not None)

    asyncio.run(visit())


def test_half_an_utterance_is_not_kept(tmp_path: Path) -> None:
    async def visit() -> None:
        async with service(tmp_path) as (client, engine):
            text = "a long text " * 400
            async with client.stream("POST", "/v1/speech", json={"text": text}) as answer:
                await anext(answer.aiter_raw())
            await asyncio.sleep(0.2)
            engine.broken = True
            assert (await client.post("/v1/speech", json={"text": text})).status_code == 500
            engine.broken = False
            assert (await client.post("/v1/speech", json={"text": text})).headers["x-talkie-cache"] == "miss"

    asyncio.run(visit())


def test_raw_floats_for_small_clients(tmp_path: Path) -> None:
    async def visit() -> None:
        async with service(tmp_path) as (client, _):
            answer = await client.post("/synthesize", json={"text": "Hello"})
            assert answer.headers["x-sample-rate"] == "24000"
            sound = np.frombuffer(answer.content, "<f4")
            assert len(sound) == 5 * 1200
            assert sound.max() == pytest.approx(0.1, abs=0.001)
            answer = await client.post("/synthesize", json={"text": "Hello", "sample_rate": 16_000})
            assert answer.headers["x-sample-rate"] == "16000"
            assert len(answer.content) / 4 == pytest.approx(4000, abs=50)

    asyncio.run(visit())


def test_another_engine_takes_over_and_it_is_told(tmp_path: Path) -> None:
    async def visit() -> None:
        async with service(tmp_path, fallback=["espeak"]) as (client, engine):
            engine.broken = True
            answer = await speak(client)
            assert (answer.status_code, answer.headers["x-talkie-engine"]) == (200, "espeak")
            assert "qwen3 did not speak: It broke." in answer.headers["x-talkie-notice"]
            assert 'talkie_tts_fallbacks_total{engine="qwen3"} 1.0' in (await client.get("/metrics")).text
            # Who names an engine, or a voice to copy, wants that one or none.
            assert (await speak(client, engine="qwen3")).status_code == 500
            digest = (await client.post("/v1/references", content=GOOD)).json()["reference"]
            assert (await speak(client, reference=digest)).status_code == 500

    asyncio.run(visit())


def test_another_voice_takes_over_where_the_one_that_was_named_breaks(tmp_path: Path) -> None:
    async def visit() -> None:
        async with service(tmp_path, fallback=["espeak"]) as (client, engine):
            assert (await speak(client, voice="hum")).headers["x-talkie-engine"] == "qwen3"
            # A busy engine, or one that refuses, does not make the voice another one.
            engine.busy = True
            busy = await speak(client, voice="hum", text="Wait")
            assert (busy.status_code, busy.json()["code"]) == (503, "at_capacity")
            assert (await speak(client, voice="hum", language="Klingon")).json()["param"] == "language"
            engine.broken = True
            answer = await speak(client, voice="hum", text="Go on")
            assert (answer.headers["x-talkie-engine"], answer.headers["x-talkie-voice"]) == ("espeak", "female")
            assert "Another voice than hum speaks. qwen3 did not speak: It broke." in answer.headers["x-talkie-notice"]
            assert 'talkie_tts_fallbacks_total{engine="qwen3"} 1.0' in (await client.get("/metrics")).text
        async with service(tmp_path) as (client, engine):
            engine.broken = True
            broken = await speak(client, voice="hum", text="Go on")
            assert (broken.status_code, broken.json()["code"]) == (500, "engine_failed")

    asyncio.run(visit())


def test_an_engine_that_cannot_be_made_hinders_no_other(tmp_path: Path) -> None:
    async def visit() -> None:
        models = {"models_dir": tmp_path / "empty", "fallback": ["piper"], "routes": {"de": ["piper", "espeak"]}}
        async with service(tmp_path, **models) as (client, _):
            assert [info["engine"] for info in (await client.get("/v1/engines")).json()] == ["qwen3", "espeak"]
            digest = (await client.post("/v1/references", content=GOOD)).json()["reference"]
            assert (await speak(client, reference=digest)).headers["x-talkie-engine"] == "qwen3"
            answer = await speak(client, language="de", voice="male")
            assert (answer.status_code, answer.headers["x-talkie-engine"]) == (200, "espeak")
            began = time.monotonic()
            for _ in range(5):
                await client.get("/v1/engines")
            assert time.monotonic() - began < 1  # it is not started again each time

    asyncio.run(visit())


def test_an_engine_without_sound_has_failed(tmp_path: Path) -> None:
    async def visit() -> None:
        async with service(tmp_path, fallback=["espeak"]) as (client, engine):
            engine.mute = True
            assert (await speak(client)).headers["x-talkie-engine"] == "espeak"
            answer = await speak(client, engine="qwen3")
            assert (answer.status_code, answer.json()["code"]) == (500, "engine_failed")

    asyncio.run(visit())


def test_speech_that_was_cut_is_told_at_any_rate_and_not_kept(tmp_path: Path) -> None:
    async def visit() -> None:
        async with service(tmp_path) as (client, engine):
            engine.cuts = True
            for _ in range(2):
                answer = await speak(client, sample_rate_hz=16_000)
                assert answer.headers["x-talkie-cache"] == "miss"
                whole = join_chunks(decode_speech(answer.content))
                assert (whole.takes, whole.notices, whole.cut) == (3, ("It ran on.",), True)

    asyncio.run(visit())


def test_languages_are_routed(tmp_path: Path) -> None:
    async def visit() -> None:
        async with service(tmp_path, routes={"ru": ["espeak"], "de": ["espeak", "qwen3"]}) as (client, _):

            async def engine_of(**fields: object) -> str:
                return (await speak(client, **fields)).headers["x-talkie-engine"]

            assert await engine_of(language="en") == "qwen3"
            assert await engine_of(language="Russian", text="Привет") == "espeak"
            assert await engine_of(language="Auto", text="Привет, как твои дела?") == "espeak"
            assert await engine_of(language="de", voice="hum") == "qwen3"
            assert await engine_of(language="ru", engine="qwen3") == "qwen3"
            names = [info["engine"] for info in (await client.get("/v1/engines")).json()]
            assert names == ["qwen3", "espeak"]

    asyncio.run(visit())


def test_phrases_are_prerendered(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")

    async def visit() -> None:
        async with service(tmp_path, prerender=["Good morning!", "Goodbye!"]) as (client, engine):
            for _ in range(200):
                if "Prerendering completed" in caplog.text:
                    break
                await asyncio.sleep(0.02)
            assert [utterance.text for utterance in engine.spoken] == ["Good morning!", "Goodbye!"]
            fields = {"text": "Goodbye!", "language": "Auto", "sample_rate_hz": 24_000}
            assert (await client.post("/v1/speech", json=fields)).headers["x-talkie-cache"] == "hit"

    asyncio.run(visit())
    assert "Prerendered (1/2)" in caplog.text
    assert "Prerendered (2/2)" in caplog.text
