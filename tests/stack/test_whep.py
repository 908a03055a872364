"""A live film is watched over WebRTC: its very frames, with its sound, by a library and by a real browser."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import numpy.typing as npt
import pytest
from playwright.sync_api import Page
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.browser.chromium import chromium_page
from tests.live import until
from tests.viewer import SDP, Viewer, watching

_log = logging.getLogger(__name__)

FPS, RATE_HZ, SIDE_PX = 25, 48_000, 256
FRAME_S = 1 / FPS
TICKS = 90_000 // FPS
TEXT = "Hello there, I am Talkie."
LONG = "This one is rather long, so that it can be interrupted before it is over, as people do."


@dataclass
class Session:
    """What a client of a live session was told, and when."""

    url: str
    socket: ClientConnection
    created: dict[str, Any] = field(default_factory=dict)
    told: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    boxes: list[bytes] = field(default_factory=list)

    def all(self, kind: str) -> list[dict[str, Any]]:
        return [event for _, event in self.told if event["type"] == kind]

    async def say(self, text: str) -> None:
        await self.send(type="input.text", text=text)
        await self.send(type="input.done")

    async def send(self, **message: object) -> None:
        await self.socket.send(json.dumps(message))

    async def listen(self) -> None:
        try:
            async for raw in self.socket:
                if isinstance(raw, bytes):
                    self.boxes.append(raw)
                else:
                    self.told.append((time.monotonic(), json.loads(raw)))
        except ConnectionClosed:
            return


@asynccontextmanager
async def session_at(url: str, **config: object) -> AsyncIterator[Session]:
    """Give a live session that has begun."""
    fields = {"size": f"{SIDE_PX}x{SIDE_PX}", "language": "English"} | config
    async with connect(url.replace("http", "ws", 1) + "/v1/video/stream", max_size=None) as socket:
        session = Session(url, socket)
        await session.send(type="session.config", **fields)
        session.created = json.loads(await socket.recv())
        listening = asyncio.create_task(session.listen())
        try:
            yield session
        finally:
            await socket.close()
            await listening


@dataclass
class Watched:
    """A session that was watched to its end, and the film of it as the socket sent it."""

    session: Session
    viewer: Viewer
    film: list[npt.NDArray[np.uint8]] = field(default_factory=list)
    sound: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))

    def __post_init__(self) -> None:
        film = b"".join(self.session.boxes)
        with av.open(io.BytesIO(film)) as container:
            self.film = [frame.to_ndarray() for frame in container.decode(video=0)]
        with av.open(io.BytesIO(film)) as container:
            self.sound = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])

    @property
    def spoken(self) -> list[dict[str, Any]]:
        """The fragments in which the first sentence is said."""
        return [one for one in self.session.all("video.fragment") if one.get("utterance_index") == 0]

    def seen_at(self, frame: int) -> int:
        """Return which of the viewer's pictures is a frame of the first sentence."""
        begin = self.spoken[0]["first_frame"]
        pictures = [picture.to_ndarray() for _, picture in self.viewer.pictures]
        for place in range(len(pictures) - 10):
            said = zip(pictures[place : place + 10], self.film[begin : begin + 10], strict=True)
            if all(np.array_equal(seen, wanted) for seen, wanted in said):
                return place + frame - begin
        raise AssertionError("the sentence was not seen")

    @property
    def heard(self) -> npt.NDArray[np.float32]:
        """All that the viewer heard, of both channels one."""
        return np.concatenate([frame.to_ndarray()[0, ::2] for _, frame in self.viewer.sounds]).astype(np.float32)


@pytest.fixture(scope="module")
def watched(stack: str) -> Watched:
    async def run() -> Watched:
        async with session_at(stack) as session, httpx.AsyncClient(base_url=stack) as http:
            await until(lambda: len(session.boxes) > 1)
            async with watching(http, session.created["whep_url"]) as (viewer, _):
                await until(lambda: len(viewer.pictures) > 0)
                await session.say(TEXT)
                await until(lambda: len(session.all("video.done")) > 0)
                await session.say(LONG)
                await until(lambda: len(session.all("video.start")) > 1)
                await asyncio.sleep(0.5)
                await session.send(type="interrupt")
                await asyncio.sleep(1.2)
                await session.send(type="session.close")
                await asyncio.wait_for(viewer.ended.wait(), 5)
        return Watched(session, viewer)

    return asyncio.run(run())


def test_the_client_is_told_where_its_film_can_be_watched(watched: Watched) -> None:
    created = watched.session.created
    assert created["type"] == "session.created"
    assert created["whep_url"].endswith(created["session_id"])


def test_the_film_is_seen_frame_by_frame(watched: Watched) -> None:
    pictures = [picture for _, picture in watched.viewer.pictures]
    first_s = watched.viewer.pictures[0][0] - watched.viewer.asked_s
    _log.info("first picture %.0f ms after asking, %d in all", 1000 * first_s, len(pictures))
    assert first_s < 2  # half a second; more where other work keeps the session from rendering its rest
    assert {(picture.width, picture.height) for picture in pictures} == {(SIDE_PX, SIDE_PX)}
    steps = np.diff([picture.pts or 0 for picture in pictures])
    assert steps.min() == TICKS
    assert len(pictures) > 100
    assert all(20 < picture.to_ndarray()[:SIDE_PX].mean() < 235 for picture in pictures[::25])
    begin = watched.spoken[0]["first_frame"]
    frames = sum(one["frames"] for one in watched.spoken)
    place = watched.seen_at(begin)
    for number in range(frames):
        assert np.array_equal(pictures[place + number].to_ndarray(), watched.film[begin + number]), number


def test_the_sound_is_heard_while_the_avatar_speaks_and_fits_the_pictures(watched: Watched) -> None:
    sounds = [frame for _, frame in watched.viewer.sounds]
    assert set(np.diff([frame.pts or 0 for frame in sounds])) == {sounds[0].samples}
    begin = watched.spoken[0]["first_frame"]
    frames = sum(one["frames"] for one in watched.spoken)
    said = watched.sound[begin * RATE_HZ // FPS :][: frames * RATE_HZ // FPS]
    heard_at = _place_of(said, watched.heard)
    heard = watched.heard[heard_at : heard_at + said.size]
    assert np.abs(heard).mean() > 500
    assert np.abs(watched.heard[: heard_at - RATE_HZ // 5]).max() < 10
    assert np.corrcoef(heard, said)[0, 1] > 0.9
    seen = watched.viewer.pictures[watched.seen_at(begin)][1].pts or 0
    clocks = watched.viewer.clocks
    apart_s = clocks["audio"].sent_s(heard_at) - clocks["video"].sent_s(seen)
    _log.info("the sound is %+.1f ms behind the pictures", 1000 * apart_s)
    assert abs(apart_s) < FRAME_S + 0.01


def test_little_time_passes_from_the_stage_to_the_viewer(watched: Watched) -> None:
    left_s = {event["first_frame"]: at for at, event in watched.session.told if event["type"] == "video.fragment"}
    delays_s = []
    for one in watched.spoken:
        number = one["first_frame"]
        delays_s.append(watched.viewer.pictures[watched.seen_at(number)][0] - left_s[number])
    _log.info("from the stage to a decoded picture: %s ms", [round(1000 * delay_s) for delay_s in delays_s])
    assert np.median(delays_s) < 1
    assert max(delays_s) < 2  # on a machine with other work, one picture or another waits for its turn


def test_an_interruption_does_not_upset_who_watches(watched: Watched) -> None:
    [(interrupted_s, _)] = [(at, event) for at, event in watched.session.told if event["type"] == "interrupted"]
    after = [(at, picture) for at, picture in watched.viewer.pictures if at > interrupted_s]
    assert len(after) > 15
    assert np.diff([picture.pts or 0 for _, picture in after]).max() < 90_000
    assert np.abs(watched.heard[-RATE_HZ // 4 :]).max() < 10


def _place_of(sound: npt.NDArray[np.float32], within: npt.NDArray[np.float32]) -> int:
    """Return the sample with which `sound` begins in another one."""
    size = 2 ** int(np.ceil(np.log2(sound.size + within.size)))
    product = np.fft.rfft(within, size) * np.conj(np.fft.rfft(sound, size))
    return int(np.argmax(np.fft.irfft(product, size)[: within.size]))


SNIPPET = (Path(__file__).parents[2] / "docs" / "webrtc.md").read_text("utf-8").split("```js\n")[1].split("```")[0]
WATCH = f"""async whep_url => {{
    document.body.innerHTML = "<video autoplay></video>";
    const asked = performance.now();
    {SNIPPET}
    Object.assign(window, {{peer, video}});
    const shown = new Promise(resolve => video.requestVideoFrameCallback(now => resolve(now - asked)));
    const first_ms = await Promise.race([shown, new Promise(resolve => setTimeout(() => resolve(null), 10000))]);
    return {{status: answer.status, location: viewer.pathname, first_ms}};
}}"""
STATE = """async () => {
    const told = {width: video.videoWidth, at: video.currentTime, state: peer.connectionState};
    for (const one of (await peer.getStats()).values()) if (one.type === "inbound-rtp") told[one.kind] = {...one};
    return told;
}"""
REFUSED = """async ([url, type, body]) => {
    const answer = await fetch(url, {method: "POST", headers: {"Content-Type": type}, body});
    return [answer.status, (await answer.json()).detail];
}"""


class _Empty(BaseHTTPRequestHandler):
    """A page without anything on it."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def page() -> Iterator[Page]:
    """A page of another origin."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Empty) as site, chromium_page() as page:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        page.goto(f"http://127.0.0.1:{site.server_port}/")
        yield page
        site.shutdown()


@pytest.fixture
def speaking(stack: str) -> Iterator[Session]:
    """A session in a thread of its own, which sends no film and speaks again and again."""
    found: list[Session] = []
    ready, done = threading.Event(), threading.Event()

    async def run() -> None:
        async with session_at(stack, send_film=False) as session:
            found.append(session)
            ready.set()
            while not done.is_set():
                await session.say(TEXT)
                await asyncio.sleep(2.5)

    thread = threading.Thread(target=partial(asyncio.run, run()))
    thread.start()
    assert ready.wait(20)
    yield found[0]
    done.set()
    thread.join(20)


def in_step(page: Page) -> dict[str, Any]:
    """Return what the page tells once it knows of sound and pictures when each is played."""
    for _ in range(40):
        state: dict[str, Any] = page.evaluate(STATE)
        if all("estimatedPlayoutTimestamp" in state.get(kind, {}) for kind in ("audio", "video")):
            return state
        page.wait_for_timeout(250)
    raise AssertionError(state)


def test_a_browser_plays_it_from_a_page_of_another_origin(page: Page, speaking: Session) -> None:
    begun = page.evaluate(WATCH, speaking.url + speaking.created["whep_url"])
    assert begun["status"] == 201 and begun["location"].startswith("/v1/video/whep/")
    assert begun["first_ms"] is not None, page.evaluate(STATE)
    before = in_step(page)
    page.wait_for_timeout(2500)
    after = in_step(page)
    pictures, sound = after["video"], after["audio"]
    each_ms = 1000 * pictures["totalProcessingDelay"] / pictures["framesDecoded"]
    _log.info("Chromium: first picture after %.0f ms, then each %.1f ms on its way", begun["first_ms"], each_ms)
    assert after["state"] == "connected"
    assert (after["width"], pictures["frameWidth"]) == (SIDE_PX, SIDE_PX)
    assert after["at"] - before["at"] > 1.5
    assert pictures["framesDecoded"] - before["video"]["framesDecoded"] > 40
    assert sound["totalAudioEnergy"] > before["audio"]["totalAudioEnergy"]
    apart_ms = sound["estimatedPlayoutTimestamp"] - pictures["estimatedPlayoutTimestamp"]
    _log.info("Chromium: sound and pictures %+.0f ms apart", apart_ms)
    assert abs(apart_ms) < 150
    assert not speaking.boxes and not speaking.all("video.fragment")
    assert speaking.all("video.start")


def test_a_page_of_another_origin_reads_what_is_wrong(page: Page, stack: str) -> None:
    status, detail = page.evaluate(REFUSED, [f"{stack}/v1/video/whep?session=live_none", "application/sdp", "v=0"])
    assert status == 404 and "live session" in detail


@pytest.mark.parametrize(
    ("path", "content", "headers", "status"),
    [
        ("?session=live_none", b"v=0", SDP, 404),
        ("", b"v=0", SDP, 404),
        ("?session=live_none", b"{}", {"Content-Type": "application/json"}, 415),
        ("?session=live_none", b"", {}, 415),
        ("?session=live_none", b"v" * 70_000, SDP, 413),
        ("?session=live_none", b"\xff\xfe", SDP, 422),
    ],
)
def test_what_cannot_be_watched_is_refused(
    client: httpx.Client, path: str, content: bytes, headers: dict[str, str], status: int
) -> None:
    answer = client.post(f"/v1/video/whep{path}", content=content, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["access-control-allow-origin"] == "*"


def test_other_verbs(client: httpx.Client) -> None:
    asked = client.options("/v1/video/whep?session=live_none")
    assert asked.status_code == 204 and asked.headers["accept-post"] == "application/sdp"
    assert "POST" in asked.headers["access-control-allow-methods"]
    for refused in (client.get("/v1/video/whep?session=live_none"), client.put("/v1/video/whep/nobody")):
        assert refused.status_code == 405 and "OPTIONS" in refused.headers["allow"]
    assert client.delete("/v1/video/whep/nobody").status_code == 404
    late = client.patch("/v1/video/whep/nobody", content=b"a=candidate")
    assert late.status_code == 405 and late.headers["allow"] == "DELETE, OPTIONS"


def test_offers_that_cannot_be_answered_and_leaving(stack: str) -> None:
    async def run() -> None:
        async with session_at(stack) as session, httpx.AsyncClient(base_url=stack) as http:
            path = session.created["whep_url"]
            for offer in (b"", b"v=0\r\n", b"v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=fmtp:97 x\r\n"):
                answer = await http.post(path, content=offer, headers=SDP)
                assert answer.status_code == 422 and answer.json()["code"] == "invalid_request", answer.text
            async with watching(http, path) as (viewer, headers):
                await until(lambda: len(viewer.pictures) > 0)
                assert (await http.delete(headers["Location"])).status_code == 200
                await asyncio.wait_for(viewer.ended.wait(), 5)
                assert (await http.delete(headers["Location"])).status_code == 404

    asyncio.run(run())


def test_a_film_that_follows_no_clock_is_not_watched(stack: str) -> None:
    async def run() -> None:
        async with session_at(stack, idle=False) as session, httpx.AsyncClient(base_url=stack) as http:
            assert "whep_url" not in session.created
            path = f"/v1/video/whep?session={session.created['session_id']}"
            assert (await http.post(path, content=b"v=0", headers=SDP)).status_code == 404
        async with session_at(stack, idle=False, send_film=False) as session:
            assert session.created["type"] == "error" and "idle" in session.created["message"]

    asyncio.run(run())
