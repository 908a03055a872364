"""The tts service alone, over real HTTP, with the real espeak-ng engine."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import aclosing, asynccontextmanager

import httpx
import pytest
from anyio.from_thread import start_blocking_portal

from services.chassis.server import serve
from services.contract.events import SPEECH_STREAM, SpeechDecoder, decode_speech
from services.contract.speech import AudioChunk, SpeechEngineInfo, join_chunks
from services.tts.app import create_app
from services.tts.engines.espeak.engine import EspeakEngine
from services.tts.settings import TtsSettings
from services.tts.speaker import Speaker

SENTENCE = "The quick brown fox jumps over the lazy dog, and then it sleeps. "
LONG = SENTENCE * 75

GREETINGS = {
    "Chinese": "你好！一秒钟前我只是文字，现在我可以说话了。",
    "English": "Hello! A second ago I was only text, and now I can speak.",
    "Japanese": "こんにちは。一秒前、私はただの文字でした。",
    "Korean": "안녕하세요! 조금 전까지 저는 글자였습니다.",
    "German": "Guten Tag! Vor einer Sekunde war ich nur Text.",
    "French": "Bonjour ! Il y a une seconde, je n'étais que du texte.",
    "Russian": "Привет! Секунду назад я была просто текстом.",
    "Portuguese": "Olá! Há um segundo eu era apenas texto.",
    "Spanish": "¡Hola! Hace un segundo yo era solo texto.",
    "Italian": "Ciao! Un secondo fa ero soltanto un testo.",
}
TAGS = {
    "Chinese": "zh",
    "English": "en-US",
    "Japanese": "ja",
    "Korean": "ko",
    "German": "de",
    "French": "fr",
    "Russian": "ru",
    "Portuguese": "pt-BR",
    "Spanish": "es",
    "Italian": "it",
}

Visit = Callable[[httpx.AsyncClient, Speaker], Awaitable[None]]


@asynccontextmanager
async def service(**fields: int) -> AsyncIterator[tuple[httpx.AsyncClient, Speaker]]:
    settings = TtsSettings(port=0, **fields)
    app = create_app(settings)
    async with serve(app, settings) as url, httpx.AsyncClient(base_url=url, timeout=30) as client:
        yield client, app.state.speaker


def with_service(visit: Visit, **fields: int) -> None:
    async def run() -> None:
        async with service(**fields) as (client, speaker):
            await visit(client, speaker)

    asyncio.run(run())


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    """A client of one service that all simple tests share."""
    settings = TtsSettings(port=0)
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(serve(create_app(settings), settings)) as url,
        httpx.Client(base_url=url, timeout=30) as client,
    ):
        yield client


def spoken(client: httpx.Client, text: str, **fields: object) -> AudioChunk:
    answer = client.post("/v1/speech", json={"text": text, **fields})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == SPEECH_STREAM
    return join_chunks(decode_speech(answer.content))


async def speak(client: httpx.AsyncClient, text: str, **fields: object) -> AudioChunk:
    answer = await client.post("/v1/speech", json={"text": text, **fields})
    assert answer.status_code == 200, answer.text
    return join_chunks(decode_speech(answer.content))


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1_000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came true")


def idle_workers(speaker: Speaker) -> list[int]:
    assert isinstance(speaker._engine, EspeakEngine)
    return [worker.pid for worker in speaker._engine._idle]


def worker_of(speaker: Speaker) -> int:
    return idle_workers(speaker)[-1]


@pytest.mark.parametrize("name", list(GREETINGS))
@pytest.mark.parametrize("auto", [False, True])
def test_every_language_of_the_product_is_detected_and_spoken(client: httpx.Client, name: str, auto: bool) -> None:
    answer = client.post("/v1/speech", json={"text": GREETINGS[name], "language": "Auto" if auto else name})
    assert answer.headers["X-Talkie-Language"] == TAGS[name]
    assert answer.headers["X-Talkie-Engine"] == "espeak"
    assert answer.headers["X-Talkie-Voice"] == "female"
    speech = join_chunks(decode_speech(answer.content))
    starts = [mark.start_s for mark in speech.marks if mark.kind == "phoneme"]
    assert len(starts) > 10
    assert starts == sorted(starts)
    assert max(mark.end_s for mark in speech.marks) <= speech.duration_s


def test_the_engine_says_what_it_can_do(client: httpx.Client) -> None:
    info = SpeechEngineInfo.model_validate(client.get("/v1/engine").json())
    assert (info.engine, info.sample_rate_hz, info.phoneme_marks, info.cloning) == ("espeak", 22_050, True, False)
    assert set(TAGS.values()) <= set(info.languages)
    assert info.default_voice in {voice.name for voice in info.voices}
    for voice in info.voices:
        assert spoken(client, "Hello", voice=voice.name).duration_s > 0.3


@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 44_100, 48_000])
def test_the_asked_sample_rate_is_kept(client: httpx.Client, rate: int) -> None:
    usual = spoken(client, SENTENCE, language="en")
    speech = spoken(client, SENTENCE, language="en", sample_rate_hz=rate)
    assert speech.sample_rate_hz == rate
    assert speech.duration_s == pytest.approx(usual.duration_s, abs=0.01)
    assert [mark.text for mark in speech.marks] == [mark.text for mark in usual.marks]


BAD_REQUESTS: list[tuple[dict[str, object], str]] = [
    ({}, "text"),
    ({"text": ""}, "text"),
    ({"text": " \n\t "}, "text"),
    ({"text": "x" * 5_001}, "text"),
    ({"text": "😀🎉…!"}, "text"),
    ({"text": "\x00\x07\x1b"}, "text"),
    ({"text": 5}, "text"),
    ({"text": "1 2 3", "language": "chr"}, "text"),  # espeak-ng knows no numbers in Cherokee
    ({"text": "Hi", "voice": "nobody"}, "voice"),
    ({"text": "Hi", "voice": "../../etc/passwd"}, "voice"),
    ({"text": "Hi", "voice": "en+../../etc/passwd"}, "voice"),
    ({"text": "Hi", "voice": "f3\x00"}, "voice"),
    ({"text": "Hi", "voice": "v" * 100_000}, "voice"),
    ({"text": "Hi", "language": "Klingonese"}, "language"),
    ({"text": "Hi", "language": "../../etc/passwd"}, "language"),
    ({"text": "今日は天気", "language": "French"}, "language"),
    ({"text": "Hi", "speed": 0}, "speed"),
    ({"text": "Hi", "pitch": "high"}, "pitch"),
    ({"text": "Hi", "sample_rate_hz": 1}, "sample_rate_hz"),
    ({"text": "Hi", "colour": "red"}, "colour"),
]


@pytest.mark.parametrize(("body", "field"), BAD_REQUESTS, ids=range(len(BAD_REQUESTS)))
def test_bad_requests_are_told_which_field_is_at_fault(
    client: httpx.Client, body: dict[str, object], field: str
) -> None:
    answer = client.post("/v1/speech", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["param"] == field
    assert answer.json()["detail"].startswith(field)


@pytest.mark.parametrize("body", [b"", b"\xff\xfe\x00", b'{"text": "a\\ud800b"}', b"[]", b'{"text": "cut'])
def test_bodies_that_are_no_request_are_refused(client: httpx.Client, body: bytes) -> None:
    answer = client.post("/v1/speech", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422


def test_a_body_over_the_limit_is_refused(client: httpx.Client) -> None:
    answer = client.post("/v1/speech", content=bytes(33 * 1024**2), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


def test_what_cannot_be_heard_is_left_out(client: httpx.Client) -> None:
    mixed = spoken(client, "\x07Hello\x00 my\x1b 🎉friend👍", language="en")
    assert [mark.text for mark in mixed.marks if mark.kind == "word"] == ["Hello", "my", "friend"]


def test_a_worker_killed_in_mid_speech_breaks_that_answer_only() -> None:
    async def visit(client: httpx.AsyncClient, speaker: Speaker) -> None:
        pid = worker_of(speaker)
        with pytest.raises(httpx.RemoteProtocolError):
            async with client.stream("POST", "/v1/speech", json={"text": LONG, "speed": 0.3}) as answer:
                async for _ in answer.aiter_raw():
                    if speaker.lane.busy and pid:
                        os.kill(pid, signal.SIGKILL)
                        pid = 0
        await until(lambda: not speaker.lane.busy)
        assert (await speak(client, "Hello again")).duration_s > 0.5
        assert (await client.get("/health/ready")).status_code == 200

    with_service(visit)


def test_a_worker_killed_before_the_first_byte_is_a_problem_answer() -> None:
    async def visit(client: httpx.AsyncClient, speaker: Speaker) -> None:
        pid = worker_of(speaker)
        os.kill(pid, signal.SIGSTOP)
        request = asyncio.create_task(client.post("/v1/speech", json={"text": "Hello"}))
        await until(lambda: not idle_workers(speaker))  # it has been taken for the request
        os.kill(pid, signal.SIGKILL)
        answer = await request
        assert answer.status_code == 500
        assert (answer.json()["code"], answer.json()["retryable"]) == ("engine_failed", True)
        assert (await client.post("/v1/speech", json={"text": "Hello"})).status_code == 200

    with_service(visit)


def test_a_client_that_leaves_in_mid_speech_frees_the_lane() -> None:
    async def visit(client: httpx.AsyncClient, speaker: Speaker) -> None:
        for _ in range(3):
            async with client.stream("POST", "/v1/speech", json={"text": LONG, "speed": 0.3}) as answer:
                await anext(answer.aiter_raw())
                assert speaker.lane.busy == 1
            await until(lambda: not speaker.lane.busy)
        assert (await speak(client, "Hello")).duration_s > 0.3

    with_service(visit, lanes=1, max_waiting=0)


def test_a_full_service_says_when_to_come_back() -> None:
    def holding() -> Generator[None, None, None]:
        yield

    async def visit(client: httpx.AsyncClient, speaker: Speaker) -> None:
        async with aclosing(speaker.lane.stream(holding)) as held:
            await anext(held)
            refusal = await client.post("/v1/speech", json={"text": "Hello"})
            assert refusal.status_code == 503
            assert refusal.json()["code"] == "at_capacity"
            assert int(refusal.headers["Retry-After"]) >= 1
        await until(lambda: not speaker.lane.busy)
        assert (await speak(client, "Hello")).duration_s > 0.3

    with_service(visit, lanes=1, max_waiting=0)


def test_eight_at_once_get_each_their_own_words() -> None:
    async def visit(client: httpx.AsyncClient, speaker: Speaker) -> None:
        words = ["one", "two", "three", "four", "five", "six", "seven", "eight"]
        texts = [" ".join([word] * 40) for word in words] * 2
        speeches = await asyncio.gather(*(speak(client, text, language="en") for text in texts))
        for text, speech in zip(texts, speeches, strict=True):
            assert " ".join(mark.text for mark in speech.marks if mark.kind == "word") == text
        alone = await speak(client, texts[3], language="en")
        assert alone.duration_s == pytest.approx(speeches[3].duration_s, abs=0.02)

    with_service(visit, lanes=8)


def test_a_stream_arrives_in_pieces(client: httpx.Client) -> None:
    decoder, samples = SpeechDecoder(), []
    with client.stream("POST", "/v1/speech", json={"text": LONG}) as answer:
        for piece in answer.iter_raw():
            samples += [chunk.samples for chunk in decoder.feed(piece)]
    decoder.finish()
    assert len(samples) > 50
    assert max(samples) < 0.2 * sum(samples)


def test_an_unknown_engine_is_told_with_those_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTS_ENGINE", "parrot")
    with pytest.raises(ValueError, match="'espeak'"):
        TtsSettings()
