"""The avatar service alone, over real HTTP: segments of film."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import httpx
import numpy as np
import pytest

from services.avatar.app import create_app
from services.avatar.engine import AvatarSource, FrameSize, Image, LipSyncEngine, Tell, tell_nobody
from services.avatar.engines.portrait.engine import PortraitEngine
from services.avatar.lipsync import LipSync
from services.avatar.settings import AvatarSettings
from services.chassis.fmp4 import BoxReader
from services.chassis.server import serve
from services.contract.events import SPEECH_STREAM, encode_speech
from services.contract.speech import AudioChunk, Mark
from services.contract.video import LipSyncEngineInfo, Timeline
from tests.service.card import CardEngine, CardTrack, read_number

RAW = "audio/L16; rate=48000; channels=1"
Visit = Callable[[httpx.AsyncClient, LipSync], Awaitable[None]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one avatar, ada."""
    home = tmp_path / "avatars" / "ada"
    home.mkdir(parents=True)
    described = {"title": "Ada", "license": "CC0-1.0", "landmarks": [[50.0, 50.0, 0.0]] * 478}
    (home / "avatar.json").write_text(json.dumps(described))
    cv2.imwrite(str(home / "portrait.png"), np.full((100, 100, 3), 120, np.uint8))
    return home.parent


@asynccontextmanager
async def service(
    folder: Path, engine: LipSyncEngine, **fields: Any
) -> AsyncIterator[tuple[httpx.AsyncClient, LipSync]]:
    settings = AvatarSettings(port=0, avatar_dir=folder, **fields)
    app = create_app(settings, engine)
    async with serve(app, settings) as url, httpx.AsyncClient(base_url=url, timeout=30) as client:
        yield client, app.state.lip_sync


def with_service(folder: Path, visit: Visit, engine: LipSyncEngine | None = None, **fields: Any) -> CardEngine:
    """Run `visit` against a service with `engine`, a new card engine by default; return the default one."""
    cards = CardEngine()

    async def run() -> None:
        async with service(folder, engine or cards, **fields) as (client, lip_sync):
            await visit(client, lip_sync)

    asyncio.run(run())
    return cards


def tone(samples: int, rate_hz: int = 48_000, silence_ms: int = 40) -> bytes:
    """A tone between two silences."""
    sound = 8_000 * np.sin(2 * np.pi * 440 * np.arange(samples) / rate_hz)
    edge = min(samples, rate_hz * silence_ms // 1000)
    sound[:edge] = sound[samples - edge :] = 0
    return sound.astype("<i2").tobytes()


async def film(client: httpx.AsyncClient, pcm: bytes, **params: Any) -> bytes:
    query = {"avatar": "ada", "width": 256, "height": 256} | params
    answer = await client.post("/v1/lipsync", params=query, content=pcm, headers={"Content-Type": RAW})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["x-talkie-engine"] == "card"
    return answer.content


def joined(segments: list[bytes]) -> bytes:
    boxes = [BoxReader().feed(segment) for segment in segments]
    init = [box.data for box in boxes[0] if box.is_init]
    return b"".join(init + [box.data for segment in boxes for box in segment if not box.is_init])


def frames_of(data: bytes) -> list[tuple[Fraction, int]]:
    with av.open(io.BytesIO(data)) as container:
        return [
            (Fraction(frame.pts * frame.time_base), read_number(frame.to_ndarray(format="bgr24")))
            for frame in container.decode(video=0)
            if frame.pts is not None and frame.time_base is not None
        ]


async def until(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    for _ in range(int(within_s / 0.01)):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came true")


@pytest.mark.parametrize("fps", ["25", "30000/1001", "60"])
def test_segments_made_apart_join_into_the_film_made_in_one_go(folder: Path, fps: str) -> None:
    counts = [20, 3, 31, 12]
    timeline = Timeline(Fraction(fps))
    firsts = [sum(counts[:index]) for index in range(len(counts))]

    async def visit(client: httpx.AsyncClient, _: LipSync) -> None:
        pieces = {first: tone(timeline.samples_between(first, n)) for first, n in zip(firsts, counts, strict=True)}
        whole = await film(client, b"".join(pieces.values()), fps=fps)
        apart = {first: await film(client, pieces[first], fps=fps, first_frame=first) for first in reversed(firsts)}
        together = joined([apart[first] for first in firsts])
        assert frames_of(together) == frames_of(whole)
        assert frames_of(whole) == [(frame / Fraction(fps), frame) for frame in range(sum(counts))]

    with_service(folder, visit, lanes=2)


def test_segments_can_be_made_side_by_side(folder: Path) -> None:
    async def visit(client: httpx.AsyncClient, _: LipSync) -> None:
        firsts = range(0, 200, 25)
        alone = [await film(client, tone(48_000), first_frame=first) for first in firsts]
        together = await asyncio.gather(*(film(client, tone(48_000), first_frame=first) for first in firsts))
        assert together == alone

    engine = with_service(folder, visit, lanes=3)
    assert engine.prepared == [("ada", FrameSize(256, 256))]


def test_a_speech_stream_of_another_rate_is_as_long_as_it_was(folder: Path) -> None:
    speech = AudioChunk(tone(33_075, 22_050), 22_050, (Mark(kind="phoneme", text="a", start_s=0.1, end_s=0.3),))

    async def visit(client: httpx.AsyncClient, _: LipSync) -> None:
        answer = await client.post(
            "/v1/lipsync?avatar=ada", content=encode_speech(speech), headers={"Content-Type": SPEECH_STREAM}
        )
        assert len(frames_of(answer.content)) == 38  # 1.5 s are 37.5 frames, filled up

    with_service(folder, visit)


def test_one_sample_makes_one_frame(folder: Path) -> None:
    async def visit(client: httpx.AsyncClient, _: LipSync) -> None:
        assert frames_of(await film(client, b"\0\0", first_frame=7)) == [(Fraction(7, 25), 7)]

    with_service(folder, visit)


def test_the_first_fragment_comes_before_the_rest_is_made(folder: Path) -> None:
    engine = CardEngine(waits_at=40)

    async def visit(client: httpx.AsyncClient, _: LipSync) -> None:
        request = client.build_request(
            "POST", "/v1/lipsync?avatar=ada", content=tone(240_000), headers={"Content-Type": RAW}
        )
        answer = await client.send(request, stream=True)
        pieces = answer.aiter_raw()
        first = await anext(pieces)
        assert [box.kind for box in BoxReader().feed(first)][:4] == ["ftyp", "moov", "moof", "mdat"]
        engine.released.set()
        rest = b"".join([piece async for piece in pieces])
        assert len(frames_of(first + rest)) == 125
        await answer.aclose()

    with_service(folder, visit, engine)


def test_a_reader_who_leaves_frees_the_lane(folder: Path) -> None:
    async def visit(client: httpx.AsyncClient, lip_sync: LipSync) -> None:
        for _ in range(3):
            async with client.stream(
                "POST", "/v1/lipsync?avatar=ada", content=tone(9_600_000), headers={"Content-Type": RAW}
            ) as answer:
                await anext(answer.aiter_raw())
                assert lip_sync.lane.busy == 1
            await until(lambda: not lip_sync.lane.busy)
        assert len(frames_of(await film(client, tone(48_000)))) == 25

    engine = with_service(folder, visit)
    assert engine.drawn < 3 * 5_000


def test_a_full_waiting_room_is_told_before_any_work(folder: Path) -> None:
    engine = CardEngine(waits_at=0)

    async def visit(client: httpx.AsyncClient, lip_sync: LipSync) -> None:
        held = [asyncio.create_task(film(client, tone(samples))) for samples in (4_801, 4_802)]
        await until(lambda: lip_sync.lane.busy == 1 and lip_sync.lane.waiting == 1)
        refused = await client.post("/v1/lipsync?avatar=ada", content=tone(4_800), headers={"Content-Type": RAW})
        assert (refused.status_code, refused.json()["code"]) == (503, "at_capacity")
        assert refused.headers["retry-after"] == "2"
        engine.released.set()
        await asyncio.gather(*held)

    with_service(folder, visit, engine, lanes=1, max_waiting=1)


def test_what_is_urgent_waits_behind_no_others(folder: Path) -> None:
    engine = CardEngine(waits_at=2)

    async def visit(client: httpx.AsyncClient, lip_sync: LipSync) -> None:
        held = [asyncio.create_task(film(client, tone(samples))) for samples in (4_801, 4_802)]
        await until(lambda: lip_sync.lane.waiting == 1 and engine.drawn == 2)
        assert len(frames_of(await film(client, tone(2 * 1_920), urgent=True))) == 2
        held.append(asyncio.create_task(film(client, tone(1_920), urgent=True, width=128)))
        await until(lambda: lip_sync.lane.waiting == 2)  # preparing may take long
        assert not any(task.done() for task in held)
        engine.released.set()
        await asyncio.gather(*held)

    with_service(folder, visit, engine, lanes=1, max_waiting=2)


def test_an_engine_that_breaks_at_once_is_a_problem(folder: Path) -> None:
    async def visit(client: httpx.AsyncClient, lip_sync: LipSync) -> None:
        answer = await client.post("/v1/lipsync?avatar=ada", content=tone(48_000), headers={"Content-Type": RAW})
        assert (answer.status_code, answer.json()["code"]) == (500, "engine_failed")
        await until(lambda: not lip_sync.lane.busy)

    with_service(folder, visit, CardEngine(breaks_at=0))


def test_an_engine_that_breaks_later_breaks_the_answer(folder: Path) -> None:
    async def visit(client: httpx.AsyncClient, lip_sync: LipSync) -> None:
        with pytest.raises(httpx.RemoteProtocolError):
            await film(client, tone(240_000))
        await until(lambda: not lip_sync.lane.busy)

    with_service(folder, visit, CardEngine(breaks_at=60))


BAD_QUERIES: list[tuple[dict[str, object], int]] = [
    ({}, 422),
    ({"avatar": ""}, 422),
    ({"avatar": "nobody"}, 404),
    ({"avatar": "upload-0123456789abcdef"}, 404),
    ({"avatar": "../../etc/passwd"}, 422),
    ({"avatar": "ada/../ada"}, 422),
    ({"avatar": "ada", "colour": "red"}, 422),
    ({"avatar": "ada", "fps": "1000"}, 422),
    ({"avatar": "ada", "fps": "1/0"}, 422),
    ({"avatar": "ada", "fps": "nan"}, 422),
    ({"avatar": "ada", "width": 513}, 422),
    ({"avatar": "ada", "width": 100_000, "height": 100_000}, 422),
    ({"avatar": "ada", "width": 3_840, "height": 3_840}, 422),
    ({"avatar": "ada", "first_frame": -1}, 422),
]


def test_bad_queries_are_told(folder: Path) -> None:
    async def visit(client: httpx.AsyncClient, _: LipSync) -> None:
        for params, status in BAD_QUERIES:
            answer = await client.post("/v1/lipsync", params=params, content=tone(9_600), headers={"Content-Type": RAW})
            assert answer.status_code == status, params
            assert answer.headers["content-type"] == "application/problem+json"
            assert len(answer.json()["detail"]) > 10

    assert with_service(folder, visit).drawn == 0


STREAM = encode_speech(AudioChunk(tone(9_600), 48_000))
AUDIO = b'{"type":"audio","sample_rate_hz":%d,"pcm_bytes":2,"marks":[%s]}\n\0\0'
END = b'{"type":"end"}\n'
NO_TIME = AUDIO % (48_000, b'{"kind":"word","text":"a","start_s":NaN,"end_s":1}') + END
TWO_RATES = AUDIO % (48_000, b"") + AUDIO % (8_000, b"") + END
BAD_BODIES: list[tuple[str, bytes, int]] = [
    (RAW, b"", 422),
    (RAW, bytes(9_601), 422),
    ("audio/L16", bytes(9_600), 422),
    ("audio/L16; rate=0", bytes(9_600), 422),
    ("audio/L16; rate=999999999", bytes(9_600), 422),
    ("audio/L16; rate=48000; channels=2", bytes(9_600), 422),
    ("audio/wav", b"RIFF", 415),
    ("", bytes(9_600), 415),
    ("\xff", bytes(9_600), 415),
    (SPEECH_STREAM, b"", 422),
    (SPEECH_STREAM, STREAM[:-1], 422),
    (SPEECH_STREAM, STREAM[:5_000], 422),
    (SPEECH_STREAM, STREAM + b"x", 422),
    (SPEECH_STREAM, END, 422),
    (SPEECH_STREAM, b"\0" * 10_000, 422),
    (SPEECH_STREAM, b"\xff\xfe\n", 422),
    (SPEECH_STREAM, NO_TIME, 422),
    (SPEECH_STREAM, TWO_RATES, 422),
    (RAW, bytes(2 * 48_000 * 11), 422),
    (RAW, bytes(4_000_000), 413),
]


def test_bad_bodies_are_told(folder: Path) -> None:
    async def visit(client: httpx.AsyncClient, _: LipSync) -> None:
        for content_type, body, status in BAD_BODIES:
            headers = {"Content-Type": content_type.encode("latin-1")}
            answer = await client.post("/v1/lipsync?avatar=ada", content=body, headers=headers)
            assert answer.status_code == status, (content_type, body[:80])
            assert answer.headers["content-type"] == "application/problem+json"
            assert len(answer.json()["detail"]) > 10

    assert with_service(folder, visit, longest_segment_s=10, max_body_bytes=3_000_000).drawn == 0


def test_the_engine_says_what_it_is(folder: Path) -> None:
    async def visit(client: httpx.AsyncClient, _: LipSync) -> None:
        info = LipSyncEngineInfo.model_validate((await client.get("/v1/engine")).json())
        assert info == LipSyncEngineInfo(engine="card", revision="1", uses_phoneme_marks=False, avatars=["ada"])
        assert (await client.get("/health/ready")).json() == {"status": "ok"}

    with_service(folder, visit)


@pytest.mark.parametrize("stuck_in", ["rendering", "preparing"])
def test_an_engine_that_is_stuck_is_told_but_one_that_prepares_is_not(
    folder: Path, monkeypatch: pytest.MonkeyPatch, stuck_in: str
) -> None:
    monkeypatch.setattr("services.avatar.lipsync._STUCK_S", 0.2)
    engine = CardEngine(waits_at=0) if stuck_in == "rendering" else SlowlyPreparing()

    async def visit(client: httpx.AsyncClient, lip_sync: LipSync) -> None:
        async def told() -> list[int]:
            return [(await client.get(f"/health/{what}")).status_code for what in ("live", "ready")]

        making = asyncio.create_task(film(client, tone(19_200)))
        await until(lambda: lip_sync.lane.busy == 1 and bool(engine.prepared))
        await asyncio.sleep(0.4)
        assert await told() == ([503, 503] if stuck_in == "rendering" else [200, 200])
        engine.released.set()
        assert await making
        assert await told() == [200, 200]

    with_service(folder, visit, engine)


class SlowlyPreparing(CardEngine):
    """Prepares until it is released."""

    def prepare(self, source: AvatarSource, size: FrameSize, tell: Tell = tell_nobody) -> CardTrack:
        track = super().prepare(source, size, tell)
        self.released.wait(30)
        return track


def test_old_setting_names_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDEO_AVATAR_DIR", "/somewhere")
    monkeypatch.setenv("AVATAR_LANES", "3")
    assert (AvatarSettings().avatar_dir, AvatarSettings().lanes) == (Path("/somewhere"), 3)


def test_the_portrait_engine_joins_unseen() -> None:
    """With the real engine and a shipped avatar: every frame is as in one go, but for the encoder's noise."""
    counts = [30, 41, 25]
    firsts = [0, 30, 71]
    pieces = [tone(count * 1_920, silence_ms=120) for count in counts]

    async def visit(client: httpx.AsyncClient, _: LipSync) -> None:
        async def segment(pcm: bytes, first_frame: int) -> bytes:
            answer = await client.post(
                "/v1/lipsync",
                params={"avatar": "maya", "width": 256, "height": 256, "first_frame": first_frame},
                content=pcm,
                headers={"Content-Type": RAW},
            )
            assert (answer.status_code, answer.headers["x-talkie-engine"]) == (200, "portrait")
            return answer.content

        whole = pictures_of(await segment(b"".join(pieces), 0))
        apart = [await segment(pcm, first) for pcm, first in reversed(list(zip(pieces, firsts, strict=True)))]
        together = pictures_of(joined(apart[::-1]))
        assert len(whole) == len(together) == sum(counts)
        assert min(cv2.PSNR(a, b) for a, b in zip(whole, together, strict=True)) > 40
        assert cv2.PSNR(whole[40], whole[70]) < 35  # frames of other moments are further apart

    with_service(Path("avatars"), visit, PortraitEngine())


def pictures_of(data: bytes) -> list[Image]:
    with av.open(io.BytesIO(data)) as container:
        return [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
