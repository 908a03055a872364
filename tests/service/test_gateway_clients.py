"""What the gateway makes of a service that refuses, breaks off, or is something else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import uvicorn
from fastapi import APIRouter, FastAPI, Response
from fastapi.responses import StreamingResponse

from services.chassis.app import create_service_app
from services.chassis.server import serve
from services.chassis.settings import ServiceSettings
from services.contract.errors import AtCapacity, EngineFailed, InvalidRequest, ServiceError, Unavailable
from services.contract.events import SPEECH_STREAM, encode_chunk, encode_end
from services.contract.headers import ENGINE_HEADER, LANGUAGE_HEADER, VOICE_HEADER
from services.contract.speech import AudioChunk, SpeechRequest
from services.gateway.calling import _IDLE_S
from services.gateway.clients import TtsClient

HELLO = SpeechRequest(text="Hello.")


def speech_with(answer: Callable[[], Awaitable[Response]]) -> APIRouter:
    """Return a tts service's route that gives `answer`."""
    router = APIRouter()
    router.add_api_route("/v1/speech", answer, methods=["POST"], response_model=None)
    return router


@asynccontextmanager
async def nothing(app: FastAPI) -> AsyncIterator[None]:
    yield


async def not_ready() -> None:
    raise Unavailable("The model is still being read.")


def speak(answer: Callable[[], Awaitable[Response]], patience_s: float = 0.0) -> list[AudioChunk]:
    """Return what the client hears of a service that gives `answer`."""

    async def run() -> list[AudioChunk]:
        settings = ServiceSettings()
        app = create_service_app("tts", settings, lifespan=nothing, ready=not_ready, routers=[speech_with(answer)])
        async with serve(app, settings) as url:
            tts = TtsClient(url)
            try:
                async with tts.speak(HELLO, patience_s) as spoken:
                    return [chunk async for chunk in spoken.chunks]
            finally:
                await tts.aclose()

    return asyncio.run(run())


def refusal(answer: Callable[[], Awaitable[Response]]) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        speak(answer)
    return caught.value


def test_a_refusal_is_passed_on_as_it_was_told() -> None:
    async def busy() -> Response:
        raise AtCapacity("All lanes are busy.", retry_after_s=3)

    async def wrong() -> Response:
        raise InvalidRequest("voice: there is none of that name.", param="voice")

    told = refusal(busy)
    assert (told.code, told.status, told.detail) == ("at_capacity", 503, "All lanes are busy.")
    assert (told.retryable, told.retry_after_s) == (True, 3)
    told = refusal(wrong)
    assert (told.code, told.status, told.param, told.retry_after_s) == ("invalid_request", 422, "voice", None)


@pytest.mark.parametrize("status", [404, 500, 502])
def test_an_answer_of_something_else_names_the_service(status: int) -> None:
    async def stranger() -> Response:
        return Response("<html>Bad Gateway</html>", status)

    told = refusal(stranger)
    assert isinstance(told, EngineFailed)
    assert f"tts service answered {status}" in told.detail


def test_who_waits_for_a_lane_takes_one_that_is_free_earlier_than_was_said() -> None:
    asked = 0

    async def full_at_first() -> Response:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise AtCapacity("All lanes are busy.", retry_after_s=68)
        headers = {ENGINE_HEADER: "card", LANGUAGE_HEADER: "en", VOICE_HEADER: "female"}
        return Response(CHUNK + encode_end(), media_type=SPEECH_STREAM, headers=headers)

    assert speak(full_at_first, patience_s=60)
    assert asked == 2


def test_who_waits_for_a_lane_waits_no_longer_than_it_has_patience() -> None:
    async def busy() -> Response:
        raise AtCapacity("All lanes are busy.", retry_after_s=68)

    began = time.monotonic()
    with pytest.raises(ServiceError) as caught:
        speak(busy, patience_s=0.3)
    assert (caught.value.code, caught.value.retry_after_s) == ("at_capacity", 68)
    assert 0.3 <= time.monotonic() - began < 30


CHUNK = encode_chunk(AudioChunk(bytes(4800), 48_000))


@pytest.mark.parametrize("sent", [CHUNK, CHUNK[:-1], b"RIFF\n", b"", encode_end()], ids=lambda sent: repr(sent[:20]))
@pytest.mark.parametrize("breaks_off", [True, False])
def test_speech_that_is_not_whole_is_a_failure_of_the_service(sent: bytes, breaks_off: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield sent
        await asyncio.sleep(0)
        if breaks_off:
            raise EngineFailed("The engine broke.")

    async def cut() -> Response:
        headers = {ENGINE_HEADER: "card", LANGUAGE_HEADER: "en", VOICE_HEADER: "female"}
        return StreamingResponse(pieces(), media_type=SPEECH_STREAM, headers=headers)

    told = refusal(cut)
    assert isinstance(told, EngineFailed)
    assert "tts" in told.detail


def test_connections_without_work_are_left_before_the_services_hang_up() -> None:
    assert uvicorn.Config(FastAPI()).timeout_keep_alive - 1 > _IDLE_S


def test_a_service_that_is_away_or_not_ready_is_named() -> None:
    async def run() -> tuple[Unavailable, Unavailable]:
        settings = ServiceSettings()
        app = create_service_app("tts", settings, lifespan=nothing, ready=not_ready, routers=[])
        async with serve(app, settings) as url:
            with pytest.raises(Unavailable) as not_yet:
                await TtsClient(url).check_ready()
        with pytest.raises(Unavailable) as away:
            await TtsClient(url).check_ready()
        return not_yet.value, away.value

    not_yet, away = asyncio.run(run())
    assert "tts" in not_yet.detail
    assert "still being read" in not_yet.detail
    assert "tts service" in away.detail
    assert away.retry_after_s == 2
