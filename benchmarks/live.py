"""How soon it is heard and seen, how soon it stops, and how many can talk at once.

    python -m benchmarks.live [--only live_timeline] [--minutes 10]

`live_timeline` replays a language model that writes sentences at 0.5, 1.0 and 1.5 s for an engine that takes
0.5, 1.2 and 0.8 s; the critical path is what no order of work can beat. The rest runs the whole product with its
embedded engines, as a process of its own, and looks at it through its WebSockets.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.live_client import SPEECH, VIDEO, Arrival, LiveClient, is_event, is_sound, is_speech, live
from benchmarks.report import report
from services.chassis.fmp4 import BoxReader, track_runs
from services.chassis.server import serve
from services.contract.video import FILM_SAMPLE_RATE_HZ
from services.gateway.app import create_app as create_gateway
from services.gateway.settings import GatewaySettings
from services.tts.app import create_app as create_tts
from services.tts.settings import TtsSettings
from tests.live import TimedEngine
from tests.processes import running_stack

Row = dict[str, Any]
PCM: Row = {"response_format": "pcm", "stream_audio": True}
WRITTEN_S = {"The first one is written.": 0.5, "The second one is written.": 1.0, "The third one is written.": 1.5}
TAKES_S = dict(zip(WRITTEN_S, (0.5, 1.2, 0.8), strict=True))
FIRST_S, TOTAL_S = 1.0, 2.3
"""The critical path: the first sentence spoken at once, and the last one to be finished."""

FPS, SIDE = 25, "256x256"
SENTENCES = (
    "Good morning, this is {} speaking to you.",
    "The weather {} is as fine as anybody could wish for.",
    "I will tell you about number {} in a moment.",
    "There are {} more things to say before we end.",
)
LONG = "This is a rather long sentence that takes its time to be said aloud, number {}. "
MUCH = 60
"""Sentences of an answer that is interrupted: most of it is not made yet."""

PAUSES_S = (1.0, 3.0, 6.0, 2.0)
"""Between answers; somebody else is speaking."""

AVATARS = ("amara", "grace", "kenji", "maya", "omar")
MANY = (16, 24, 32, 40, 48)
"""Sessions side by side, to find how many a machine has room for."""


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` of `values` are not above."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@asynccontextmanager
async def controlled(engine: TimedEngine, at_once: int) -> AsyncIterator[str]:
    """Serve a gateway and a tts service with an engine that takes as long as it is told."""
    tts_settings = TtsSettings(port=0, cache_enable=False)
    async with serve(create_tts(tts_settings, engine), tts_settings) as tts_url:
        settings = GatewaySettings(
            port=0, tts_url=tts_url, enable_video=False, cache_enable=False, live_sentences=at_once
        )
        async with serve(create_gateway(settings), settings) as url:
            yield url


async def replayed(*, streams: bool, at_once: int, wait_for_all: bool = False) -> tuple[float, float]:
    """Return when the first sound and the last one came."""
    engine = TimedEngine(TAKES_S, streams=streams, sound_s=0.5)
    async with controlled(engine, at_once) as url, live(url, SPEECH, **PCM) as client:
        await client.write("Hello. ")  # to services just started, the first request takes longer
        await client.say(type="input.done")
        await client.until(is_event("session.done"))
        since, began = len(client.arrivals), time.perf_counter()
        for sentence, at_s in WRITTEN_S.items():
            at_s = max(WRITTEN_S.values()) if wait_for_all else at_s
            await asyncio.sleep(max(0.0, began + at_s - time.perf_counter()))
            await client.write(f"{sentence} ")
        await client.say(type="input.done")
        await client.until(is_event("session.done"), since)
        sounds = [arrival.at_s - began for arrival in client.arrivals[since:] if is_sound(arrival)]
        return sounds[0], sounds[-1]


async def timeline(tries: int) -> list[Row]:
    """Replay the timeline in three ways."""
    ways: dict[str, dict[str, Any]] = {
        "sequential": {"streams": False, "at_once": 1, "wait_for_all": True},
        "as written": {"streams": False, "at_once": 4},
        "as written, streaming engine": {"streams": True, "at_once": 4},
    }
    rows = []
    for way, options in ways.items():
        runs = [await replayed(**options) for _ in range(tries)]
        first_s, total_s = (statistics.median(values) for values in zip(*runs, strict=True))
        critical_s = FIRST_S if way == "as written" else None
        rows.append(
            {
                "way": way,
                "tries": tries,
                "first_audio_s": first_s,
                "first_audio_worst_s": max(first for first, _ in runs),
                "total_s": total_s,
                "total_worst_s": max(total for _, total in runs),
                "first_over_critical_path": first_s / critical_s if critical_s else "",
                "total_over_critical_path": total_s / TOTAL_S if way != "sequential" else "",
            }
        )
    return rows


async def first_sound_s(client: LiveClient, number: int, *, goes_on: bool = True) -> float:
    """Return the time from the token after a sentence, or from its own last one, to its first sound."""
    since, written_at = len(client.arrivals), 0.0
    sentence = SENTENCES[number % len(SENTENCES)].format(number)
    for word in [*sentence.split(), *(["And"] if goes_on else [])]:
        await asyncio.sleep(0.02)
        written_at = await client.write(f" {word}")
    sound = await client.until(is_sound, since)
    await client.say(type="interrupt")
    await client.until(is_event("interrupted"), since)
    return sound.at_s - written_at


async def first_fragment_s(client: LiveClient, number: int) -> float:
    """Return the time from the token after a sentence to the first fragment in which it is said."""
    since = len(client.arrivals)
    for word in SENTENCES[number % len(SENTENCES)].format(number).split():
        await client.write(f" {word}")
        await asyncio.sleep(0.02)
    written_at = await client.write(" And")
    fragment = await client.until(is_speech, since)
    await client.say(type="interrupt")
    await client.until(is_event("interrupted"), since)
    await asyncio.sleep(0.7 + 0.13 * (number % 5))  # at any moment of the idle motion
    return fragment.at_s - written_at


async def stale_s(client: LiveClient, number: int, is_part: Callable[[Arrival], bool]) -> tuple[float, float]:
    """Return how long after an interruption was sent the last piece of the old answer came, and the word of it."""
    since = len(client.arrivals)
    await client.write("".join(LONG.format(f"{number} and {part}") for part in range(MUCH)))
    await client.until(is_part, since)
    await asyncio.sleep(0.05 + 0.02 * (number % 10))
    interrupted_at = await client.say(type="interrupt")
    told = await client.until(is_event("interrupted"), since)
    await asyncio.sleep(0.3)
    after = [arrival.at_s for arrival in client.arrivals[since:] if is_part(arrival) and arrival.at_s > interrupted_at]
    late = [at_s for at_s in after if at_s > told.at_s]
    assert not late, "something of the old answer followed"
    assert told.event["sentence_index"] < MUCH - 1, "nothing was left to be said"
    return max(after, default=interrupted_at) - interrupted_at, told.at_s - interrupted_at


@contextmanager
def fresh_stack() -> Iterator[str]:
    """Run the product with an empty cache: what an earlier run said would cost nothing now."""
    with TemporaryDirectory() as cache_dir, running_stack(environment={"CACHE_DIR": cache_dir}) as url:
        yield url


def spread(what: str, values_s: Sequence[float]) -> Row:
    """Return a row that tells how values lie."""
    return {
        "what": what,
        "tries": len(values_s),
        "p50_ms": 1000 * percentile(values_s, 0.5),
        "p95_ms": 1000 * percentile(values_s, 0.95),
        "worst_ms": 1000 * max(values_s),
    }


async def latency(tries: int) -> list[Row]:
    """Measure first sound, first fragment, and how soon both stop."""
    with fresh_stack() as url:
        async with live(url, SPEECH, **PCM) as client:
            await first_sound_s(client, 0)
            sounds = [await first_sound_s(client, number) for number in range(1, tries)]
            pauses = [await first_sound_s(client, number, goes_on=False) for number in range(1, tries)]
            stops = [await stale_s(client, number, is_sound) for number in range(tries)]
        rows = [spread("sentence over to first sound", sounds)]
        rows.append(spread("sentence over to first sound, nothing follows it", pauses))
        for side in ("256x256", "512x512"):
            opened_at = time.perf_counter()
            async with live(url, VIDEO, size=side) as client:
                opened = await client.until(is_sound)
                await asyncio.sleep(2.0)
                fragments = [await first_fragment_s(client, number) for number in range(tries)]
                film_stops = [await stale_s(client, number, is_speech) for number in range(tries)]
            rows.append(spread(f"connected to first frame, {side}", [opened.at_s - opened_at]))
            rows.append(spread(f"sentence over to first fragment of it, {side}", fragments))
            rows.append(spread(f"interruption to last byte of the old answer, film {side}", [s for s, _ in film_stops]))
        rows.append(spread("interruption to last byte of the old answer, speech", [stale for stale, _ in stops]))
        rows.append(spread("interruption to its confirmation, speech", [told for _, told in stops]))
    return rows


@dataclass
class Watched:
    """What a viewer saw of a session: how often it stood still, and how far the ends of sound and pictures lie apart.

    A player that runs dry goes on when it can, so `began_s` moves with each time the film stood still. That lips
    and sound belong together within a fragment is measured by `benchmarks.lipsync`.
    """

    began_s: float = 0.0
    frames: int = 0
    speech_frames: int = 0
    late: int = 0
    latest_s: float = 0.0
    stood_still_s: float = 0.0
    fragments: int = 0
    offset_s: float = 0.0
    holes: int = 0
    _sound: int = 0

    def see(self, arrival: Arrival) -> None:
        """Take a fragment."""
        if arrival.event.get("type") != "video.fragment" or not arrival.data:
            return
        self.began_s = self.began_s or arrival.at_s
        late_s = max(0.0, arrival.at_s - self.began_s - arrival.event["first_frame"] / FPS)
        self.late += late_s > 0
        self.latest_s = max(self.latest_s, late_s)
        self.stood_still_s += late_s
        self.began_s += late_s
        self.fragments += 1
        moof = next(box.data for box in BoxReader().feed(arrival.data) if box.kind == "moof")
        pictures, sound = track_runs(moof)
        self.holes += pictures.start // pictures.sample_ticks != self.frames or sound.start != self._sound
        self.frames += pictures.samples
        self._sound = sound.start + sound.samples * sound.sample_ticks
        self.speech_frames += 0 if arrival.event["idle"] else pictures.samples
        self.offset_s = max(self.offset_s, abs(self._sound / FILM_SAMPLE_RATE_HZ - self.frames / FPS))


async def converse(url: str, number: int, duration_s: float, avatar: str) -> Watched:
    """Talk for a while, with pauses, over one session; every fifth answer is interrupted."""
    watched = Watched()
    async with live(url, VIDEO, size=SIDE, avatar=avatar, forgets=True) as client:
        client.on_arrival = watched.see
        ends_at = time.perf_counter() + duration_s
        turn = 0
        while time.perf_counter() < ends_at:
            turn += 1
            since = len(client.arrivals)
            await asyncio.sleep(PAUSES_S[(turn + number) % len(PAUSES_S)])
            for part in range(1 + turn % 3):
                await client.write(SENTENCES[(turn + part) % len(SENTENCES)].format(f"{number} {turn} {part}") + " ")
                await asyncio.sleep(0.3)
            await client.say(type="input.done")
            if turn % 5 == 0:
                await asyncio.sleep(1.5)
                await client.say(type="interrupt")
            else:
                await client.until(is_event("session.done"), since)
    return watched


async def held_up_s(watched: asyncio.Future[Any]) -> float:
    """Return the longest time for which this process itself was not run: what comes then is not late, but unseen."""
    longest_s, nap_s = 0.0, 0.02
    while not watched.done():
        slept_at = time.perf_counter()
        await asyncio.sleep(nap_s)
        longest_s = max(longest_s, time.perf_counter() - slept_at - nap_s)
    return longest_s


async def sessions(counts: Sequence[int], duration_s: float, avatars: Sequence[str]) -> list[Row]:
    """Watch so many conversations side by side, with one avatar after the other."""
    rows = []
    for count in counts:
        with fresh_stack() as url:
            before = os.times()
            began = time.perf_counter()
            conversations = (
                converse(url, number, duration_s, avatars[number % len(avatars)]) for number in range(count)
            )
            watching = asyncio.gather(*conversations)
            client_held_up_s = await held_up_s(watching)
            watched = await watching
            elapsed_s, client_cpu_s = time.perf_counter() - began, os.times().user - before.user
        after = os.times()  # of the stack only once it has ended
        fragments = sum(one.fragments for one in watched)
        rows.append(
            {
                "sessions": count,
                "avatars": len(avatars),
                "minutes": round(elapsed_s / 60, 2),
                "speaking": sum(one.speech_frames for one in watched) / sum(one.frames for one in watched),
                "fragments": fragments,
                "late_fragments": sum(one.late for one in watched),
                "late_share": sum(one.late for one in watched) / fragments,
                "latest_ms": 1000 * max(one.latest_s for one in watched),
                "stood_still_share": sum(one.stood_still_s for one in watched) / (count * elapsed_s),
                "holes": sum(one.holes for one in watched),
                "av_offset_ms": 1000 * max(one.offset_s for one in watched),
                "server_cores": (
                    after.children_user + after.children_system - before.children_user - before.children_system
                )
                / elapsed_s,
                "client_cores": client_cpu_s / elapsed_s,
                "client_held_up_ms": 1000 * client_held_up_s,
            }
        )
    return rows


async def main() -> None:
    """Run what is asked for, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="name of one of the results")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long conversations last")
    parser.add_argument("--tries", type=int, default=30)
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 4, 8])
    asked = parser.parse_args()
    experiments: dict[str, Callable[[], Awaitable[list[Row]]]] = {
        "live_timeline": lambda: timeline(10),
        "live_latency": lambda: latency(asked.tries),
        "live_sessions": lambda: sessions(asked.sessions, 60 * asked.minutes, AVATARS[:1]),
        "live_capacity": lambda: sessions(MANY, 60.0, AVATARS),
    }
    for name, experiment in experiments.items():
        if asked.only in (None, name):
            report(name, await experiment())


if __name__ == "__main__":
    asyncio.run(main())
