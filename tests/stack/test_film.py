"""Films as clients get them: right in every stream, the same however they are asked for."""

from __future__ import annotations

import asyncio
import io
from fractions import Fraction

import httpx
import numpy as np
import pytest

from services.contract.video import LipSyncParams
from services.gateway.clients import AvatarClient, TtsClient
from services.gateway.finish import faststart
from services.gateway.laying import Segment, lay_down
from services.gateway.script import Scene, Script
from services.stack import engine_services
from tests.stack.films import boxes, decode, loudness_lufs

TEXT = "Hello there. My name is Maya, and maybe you want to hear more? Good."
PACKET_S = 1024 / 48_000


def test_a_film_is_what_every_player_plays(client: httpx.Client) -> None:
    answer = client.post("/video/generate", json={"text": TEXT})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "video/mp4"
    kinds = [box.kind for box in boxes(answer.content)]
    assert kinds.index("moov") < kinds.index("mdat")
    assert "moof" not in kinds
    film = decode(answer.content)
    assert film.codecs == ("h264", "aac")
    assert film.pixel_format == "yuv420p"
    assert film.size == (512, 512)
    assert np.allclose(np.diff(film.times_s), 1 / 25)
    assert abs(film.sound_s - film.video_s) <= PACKET_S
    assert loudness_lufs(answer.content) == pytest.approx(-16, abs=1.5)


@pytest.mark.parametrize(
    ("fields", "size", "fps"),
    [
        ({"size": "1280x720", "fps": "29.97"}, (1280, 720), Fraction(30000, 1001)),
        ({"quality": "low", "aspect": "9:16"}, (360, 640), Fraction(25)),
        ({"size": "128x128", "fps": "60"}, (128, 128), Fraction(60)),
    ],
)
def test_size_and_rate_are_what_was_asked_for(
    client: httpx.Client, fields: dict[str, str], size: tuple[int, int], fps: Fraction
) -> None:
    film = decode(client.post("/video/generate", data={"text": "Hello.", **fields}).content)
    assert film.size == size
    assert film.times_s == pytest.approx([float(n / fps) for n in range(len(film.times_s))], abs=1e-4)
    assert abs(film.sound_s - film.video_s) <= PACKET_S


def test_a_finished_film_is_the_stream_with_its_index_in_front(client: httpx.Client) -> None:
    streamed = client.get("/video/stream", params={"text": TEXT, "size": "256x256"}).content
    assert {"moof", "mdat"} <= {box.kind for box in boxes(streamed)}
    live, finished = decode(streamed), decode(faststart(io.BytesIO(streamed)).read())
    assert live.times_s == finished.times_s
    assert np.array_equal(np.array(live.frames), np.array(finished.frames))
    assert abs(live.sound_s - finished.sound_s) < 1e-6


def test_segments_made_in_any_order_join_to_the_same_film() -> None:
    script = Script((Scene(TEXT, "maya"),), language="English", width=256, height=256)

    async def rendered(avatar: AvatarClient, segment: Segment) -> bytes:
        params = LipSyncParams(avatar="maya", first_frame=segment.spoken.first_frame, width=256, height=256)
        async with avatar.lipsync(params, segment.speech) as pieces:
            return b"".join([piece async for piece in pieces])

    async def run() -> tuple[list[bytes], list[bytes], int]:
        async with engine_services() as urls:
            tts, avatar = TtsClient(urls.tts_url), AvatarClient(urls.avatar_url)
            segments = [segment async for segment in lay_down(tts, script)]
            forward = [await rendered(avatar, segment) for segment in segments]
            backward = [await rendered(avatar, segment) for segment in reversed(segments)]
            await asyncio.gather(tts.aclose(), avatar.aclose())
        return forward, backward[::-1], sum(segment.spoken.frames for segment in segments)

    forward, backward, frames = asyncio.run(run())
    assert len(forward) == 3
    assert forward == backward
    film = decode(forward[0] + b"".join(box.data for part in forward[1:] for box in boxes(part) if not box.is_init))
    assert np.allclose(film.times_s, np.arange(frames) / 25)
    assert abs(film.sound_s - film.video_s) <= PACKET_S


@pytest.mark.parametrize(
    "text", ["Hello. \U0001f600", "Hello there.\n\n***\n\nBye.", "Hello there, my friends! 你好，我是玛雅。Привет!"]
)
def test_texts_as_people_write_them_become_whole_films(client: httpx.Client, text: str) -> None:
    film = client.get("/video/stream", params={"text": text, "size": "128x128"})
    speech = client.post("/v1/audio/speech", json={"input": text, "response_format": "pcm"})
    assert (film.status_code, speech.status_code) == (200, 200)
    assert decode(film.content).sound_s > 1


def test_every_avatar_and_an_uploaded_picture_speak(client: httpx.Client) -> None:
    names = client.get("/video/avatars").json()["avatars"]
    assert len(names) >= 4
    for name in names:
        answer = client.post("/video/generate", json={"text": "Hi.", "avatar": name, "size": "128x128"})
        assert answer.headers["x-talkie-avatar"] == name
        picture = client.get(f"/video/avatars/{name}/portrait")
        assert picture.headers["content-type"] == "image/jpeg"
    answer = client.post(
        "/video/generate", data={"text": "Hi.", "size": "128x128"}, files={"avatar_image": ("me.jpg", picture.content)}
    )
    assert answer.status_code == 200, answer.text
    assert decode(answer.content).size == (128, 128)


def test_old_clients_may_call_an_avatar_by_its_picture_file(client: httpx.Client) -> None:
    query = {"text": "Hi.", "avatar_path": "omar.png", "quality": "low", "tts_engine": "espeak", "tts_voice": "male-2"}
    answer = client.post("/video/generate", params=query)
    assert answer.status_code == 200
    assert answer.headers["x-talkie-avatar"] == "omar"


def test_the_state_endpoints_have_their_old_shapes(client: httpx.Client) -> None:
    assert client.get("/health").json() == {"status": "healthy", "models_loaded": ["espeak", "portrait"]}
    info = client.get("/info").json()
    assert set(info) == {"loaded_models", "available_models", "available_speakers", "supported_languages"}
    assert info["loaded_models"] == info["available_models"] == ["espeak", "portrait"]
    languages = info["supported_languages"]
    assert {"Auto", "English", "Portuguese", "Chinese", "pl"} <= set(languages)
    assert len(set(languages)) == len(languages)
    assert not any(language.startswith(("en-", "pt-", "zh-")) for language in languages)
    assert client.get("/video/status").json()["status"] == "ok"
    assert client.get("/video/tts_engines").json()[0]["id"] == "espeak"
    assert client.get("/health/ready").json() == {"status": "ok"}


def test_an_equal_film_is_answered_from_the_cache(client: httpx.Client) -> None:
    asked = {"text": "Twice the same, and never before.", "size": "128x128"}
    first, again = (client.post("/video/generate", json=asked) for _ in range(2))
    assert [answer.headers["x-talkie-cache"] for answer in (first, again)] == ["miss", "hit"]
    assert first.content == again.content
    anew = client.post("/video/generate", json=asked | {"use_cache": False})
    assert anew.headers["x-talkie-cache"] == "miss"
