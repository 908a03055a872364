"""Speech that comes in pieces: when frames leave, and how they compare with those of the whole."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from queue import Queue

import numpy as np
import pytest

from services.avatar.artwork import read_avatar
from services.avatar.engine import Image
from services.avatar.engines.musetalk.engine import MuseTalkEngine
from services.avatar.engines.musetalk.gate import Gate
from services.avatar.engines.musetalk.hearing import SAMPLE_RATE_HZ, Hearing
from services.avatar.engines.musetalk.live import LiveHearing, LiveSpeech
from services.avatar.engines.musetalk.making import make_musetalk
from services.avatar.engines.musetalk.resampling import PieceResampler, at_16_khz
from services.avatar.engines.musetalk.track import Track
from services.contract.errors import InvalidRequest
from services.contract.speech import AudioChunk
from tests.checkpoints.musetalk import build_musetalk
from tests.unit.test_musetalk_engine import FPS, SIZE, rendered, settings, voice


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MuseTalkEngine]:
    engine = make_musetalk(settings(build_musetalk(tmp_path_factory.mktemp("musetalk"))))
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def track(engine: MuseTalkEngine) -> Track:
    return engine.prepare(read_avatar(Path(__file__).parents[2] / "avatars" / "maya").source, SIZE)


def in_pieces(speech: AudioChunk, seconds: float) -> Iterator[AudioChunk]:
    step = 2 * round(speech.sample_rate_hz * seconds)
    for at in range(0, len(speech.pcm), step):
        yield AudioChunk(speech.pcm[at : at + step], speech.sample_rate_hz)


def live(engine: MuseTalkEngine, track: Track, pieces: Iterator[AudioChunk]) -> list[Image]:
    return [frame.copy() for frame in engine.render_live(track, pieces, 0, FPS)]


def test_what_is_there_at_once_is_rendered_as_the_whole(engine: MuseTalkEngine, track: Track) -> None:
    speech = voice(1.5, silence_s=0.5)
    ours, whole = live(engine, track, iter([speech])), rendered(engine, track, speech)
    assert len(ours) == len(whole) == 50
    # The gate cannot open before it hears, here as in pieces: what it shows is compared where it is open.
    assert np.abs(np.stack(ours[5:]).astype(int) - np.stack(whole[5:])).max() <= 2


def test_a_frame_leaves_when_the_sound_reaches_120_ms_past_its_begin(engine: MuseTalkEngine) -> None:
    hearing = LiveHearing(engine._ears, FPS)
    for step in range(1, 101):
        hearing.hear(np.zeros(SAMPLE_RATE_HZ // 100, np.float32))
        heard_ms = 10 * step
        assert hearing.frames_ready() == max(0, (heard_ms - 120) // 40 + 1)


def test_frames_come_while_the_speech_is_still_being_spoken(engine: MuseTalkEngine, track: Track) -> None:
    pieces: Queue[AudioChunk | None] = Queue()
    frames: list[Image] = []
    came = threading.Condition()

    def watch() -> None:
        for frame in engine.render_live(track, iter(pieces.get, None), 0, FPS):
            with came:
                frames.append(frame.copy())
                came.notify()

    watcher = threading.Thread(target=watch)
    watcher.start()
    sent_ms = 0
    for piece in in_pieces(voice(0.8), 0.1):
        pieces.put(piece)
        sent_ms += 100
        due = max(0, (sent_ms - 120) // 40 + 1)
        with came:
            assert came.wait_for(lambda due=due: len(frames) >= due, 20), (sent_ms, len(frames))
            assert len(frames) == due
    pieces.put(None)
    watcher.join(20)
    assert len(frames) == 20


@pytest.mark.parametrize("rate_hz", [16_000, 24_000, 44_100, 48_000])
@pytest.mark.parametrize("piece_s", [0.013, 0.04, 0.5])
def test_pieces_are_resampled_as_the_whole(rate_hz: int, piece_s: float) -> None:
    random = np.random.default_rng(3)
    pcm = (8000 * random.standard_normal(rate_hz)).clip(-32768, 32767).astype("<i2").tobytes()
    speech, resampler = AudioChunk(pcm, rate_hz), PieceResampler()
    sound = np.zeros(0, np.float32)
    for piece in in_pieces(speech, piece_s):
        replaced, more = resampler.feed(piece)
        sound = np.concatenate([sound[: len(sound) - replaced], more])
    whole = at_16_khz(speech)
    assert abs(len(sound) - len(whole)) <= 1
    assert np.abs(sound - whole[: len(sound)]).max() < 1e-3


def test_windows_in_pieces_are_near_those_of_the_whole(engine: MuseTalkEngine) -> None:
    random = np.random.default_rng(2)
    sound = (0.1 * random.standard_normal(SAMPLE_RATE_HZ * 3)).astype(np.float32)
    whole, piecewise = Hearing(engine._ears, sound, FPS), LiveHearing(engine._ears, FPS)
    apart, done = [], 0
    for at in range(0, len(sound), 640):
        piecewise.hear(sound[at : at + 640])
        for frame in range(done, piecewise.frames_ready()):
            ours, theirs = piecewise.window(frame), whole.window(frame)
            apart.append(float((ours - theirs).norm() / theirs.norm()))
        done = max(done, piecewise.frames_ready())
    assert len(apart) == 3 * 25 - 2
    # These ears have random weights, which listen to everything alike; the less is still to come, the nearer.
    assert np.median(apart) < 0.25
    assert np.mean(apart[-20:]) < 0.5 * np.mean(apart[:20])
    assert apart[-1] < 0.02


def test_half_a_minute_is_held_however_long_it_lasts(engine: MuseTalkEngine) -> None:
    hearing, gate = LiveHearing(engine._ears, FPS), Gate(FPS)
    second = AudioChunk(bytes(2 * 48_000), 48_000)
    frames = longest = 0
    for _ in LiveSpeech(hearing, gate, FPS, 0).frames(second for _ in range(120)):
        frames, longest = frames + 1, max(longest, len(hearing._sound))
    assert frames == 120 * 25
    assert longest <= 35 * SAMPLE_RATE_HZ


@pytest.mark.parametrize("fps", [Fraction(24), Fraction(30_000, 1001), Fraction(60)])
@pytest.mark.parametrize("rate_hz", [16_000, 24_000, 44_100])
def test_all_frames_come_at_any_rate(engine: MuseTalkEngine, fps: Fraction, rate_hz: int) -> None:
    speech = AudioChunk(bytes(2 * rate_hz), rate_hz)
    hearing = LiveHearing(engine._ears, fps)
    frames = list(LiveSpeech(hearing, Gate(fps), fps, 7).frames(in_pieces(speech, 0.03)))
    assert frames == list(range(len(frames)))
    assert len(frames) in (int(fps), int(fps) + 1)


def test_pieces_of_two_rates_are_refused(engine: MuseTalkEngine, track: Track) -> None:
    pieces = [AudioChunk(bytes(9600), 48_000), AudioChunk(bytes(9600), 24_000)]
    with pytest.raises(InvalidRequest, match="rate"):
        live(engine, track, iter(pieces))


def test_nothing_said_is_nothing_shown(engine: MuseTalkEngine, track: Track) -> None:
    assert live(engine, track, iter([])) == []
