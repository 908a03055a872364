"""Which engine speaks, over the real kokoro, piper and espeak engines with tiny weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from anyio.from_thread import start_blocking_portal
from fastapi import FastAPI

from services.chassis.server import serve
from services.chassis.settings import ServiceSettings
from services.gateway.app import create_app as create_gateway
from services.gateway.settings import GatewaySettings
from services.tts.app import create_app
from services.tts.settings import TtsSettings
from tests.checkpoints.kokoro import build_kokoro
from tests.checkpoints.piper import build_piper

ROUTES = {"en": ["kokoro", "piper"], "ru": ["piper"]}
ENGLISH, RUSSIAN, GERMAN = "Hello, how are you today?", "Доброе утро, как дела?", "Guten Morgen, wie geht es Ihnen?"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    build_kokoro(folder / "kokoro")
    build_piper(folder / "piper")
    build_piper(folder / "piper", "ru_RU-tiny-low", espeak="ru", language="Russian")
    return folder


@contextmanager
def serving(app: FastAPI, settings: ServiceSettings) -> Iterator[httpx.Client]:
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(serve(app, settings)) as url,
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        yield client


@contextmanager
def service(models: Path, **fields: object) -> Iterator[httpx.Client]:
    wanted = {"port": 0, "models_dir": models, "voices_dir": models / "voices", "routes": ROUTES}
    settings = TtsSettings.model_validate(wanted | fields)
    with serving(create_app(settings), settings) as client:
        yield client


@pytest.fixture(scope="module")
def tts(models: Path) -> Iterator[httpx.Client]:
    with service(models) as client:
        yield client


def speak(client: httpx.Client, text: str, **fields: object) -> httpx.Response:
    return client.post("/v1/speech", json={"text": text} | fields)


def who(answer: httpx.Response) -> tuple[str, str]:
    assert answer.status_code == 200, answer.text
    return answer.headers["x-talkie-engine"], answer.headers["x-talkie-voice"]


@pytest.mark.parametrize(
    ("text", "fields", "spoke"),
    [
        (ENGLISH, {"voice": "female"}, ("kokoro", "af_heart")),
        (ENGLISH, {"voice": "Male", "language": "en"}, ("kokoro", "am_adam")),
        (RUSSIAN, {"voice": "female"}, ("piper", "ru_RU-tiny-low")),
        (GERMAN, {"voice": "male"}, ("espeak", "male")),
    ],
)
def test_a_gender_is_answered_by_the_engine_of_the_language(
    tts: httpx.Client, text: str, fields: dict[str, str], spoke: tuple[str, str]
) -> None:
    answer = speak(tts, text, **fields)
    assert who(answer) == spoke
    untold = "voice: none is known to be female here; ru_RU-tiny-low speaks."  # nobody knows who tiny is
    assert answer.headers.get("x-talkie-notice") == (untold if spoke[0] == "piper" else None)


def test_the_gateway_asks_for_a_gender_where_clients_name_voices_of_openai_s(tts: httpx.Client) -> None:
    settings = GatewaySettings(port=0, tts_url=str(tts.base_url), enable_video=False)
    with serving(create_gateway(settings), settings) as gateway:
        for text, voice, spoke in (
            (ENGLISH, "nova", ("kokoro", "af_heart")),
            (ENGLISH, "onyx", ("kokoro", "am_adam")),
            (RUSSIAN, "alloy", ("piper", "ru_RU-tiny-low")),
            (GERMAN, "echo", ("espeak", "male")),
            (ENGLISH, "am_adam", ("kokoro", "am_adam")),
        ):
            body = {"model": "tts-1", "input": text, "voice": voice, "response_format": "pcm"}
            assert who(gateway.post("/v1/audio/speech", json=body)) == spoke


def test_a_voice_that_is_named_is_spoken_by_its_engine_wherever_the_table_leads(tts: httpx.Client) -> None:
    assert who(speak(tts, ENGLISH, voice="male-2")) == ("espeak", "male-2")
    assert who(speak(tts, "Bonjour à tous.", voice="FF_Siwi")) == ("kokoro", "ff_siwi")
    refusal = speak(tts, ENGLISH, voice="nobody")
    assert (refusal.status_code, refusal.json()["param"]) == (422, "voice")


def test_an_engine_that_cannot_be_made_says_why_its_voices_do_not_speak(models: Path, tmp_path: Path) -> None:
    routes = {"en": ["kokoro", "espeak"]}
    with service(models, kokoro_model=tmp_path / "absent", routes=routes) as client:
        for voice in ("male", "male-2", "f3"):  # the last one is not listed
            assert who(speak(client, ENGLISH, voice=voice)) == ("espeak", voice)
        refusal = speak(client, ENGLISH, voice="af_heart")
        assert (refusal.status_code, refusal.json()["code"]) == (503, "unavailable")
        assert "absent is missing" in refusal.json()["detail"]


def test_another_voice_steps_in_for_one_of_an_engine_that_cannot_be_made(models: Path, tmp_path: Path) -> None:
    with service(models, kokoro_model=tmp_path / "absent", routes={"en": ["kokoro"]}, fallback=["espeak"]) as client:
        answer = speak(client, ENGLISH, voice="af_heart")
        assert who(answer) == ("espeak", "female")
        notice = answer.headers["x-talkie-notice"]
        assert notice.startswith("Another voice than af_heart speaks. kokoro did not speak: ")
        assert "absent is missing" in notice
