"""Long texts in pieces: how long they are, and how many are spoken side by side."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Generator
from typing import Any

import httpx
import pytest

from services.contract.speech import AudioChunk
from services.tts.engine import Utterance
from tests.gateways import gateway
from tests.live import TimedEngine

PATH = "/synthesize/parallel"
LONG = " ".join(f"This is sentence number {number} of twelve." for number in range(1, 13))
CLAUSES = "This sentence goes on, as some of them do, from one clause to another, " * 4 + "until it comes to an end."


class CountingEngine(TimedEngine):
    """Knows how many texts it spoke at once."""

    def __init__(self, takes_s: float) -> None:
        super().__init__({})
        self._each_takes_s = takes_s
        self._counting = threading.Lock()
        self._speaking = 0
        self.most_at_once = 0

    def synthesize(self, utterance: Utterance) -> Generator[AudioChunk, None, None]:
        with self._counting:
            self._speaking += 1
            self.most_at_once = max(self.most_at_once, self._speaking)
        time.sleep(self._each_takes_s)
        with self._counting:
            self._speaking -= 1
        yield from super().synthesize(utterance)


def asked(engine: TimedEngine, fields: dict[str, Any], **settings: Any) -> httpx.Response:
    async def run() -> httpx.Response:
        async with gateway(engine, **settings) as (url, _), httpx.AsyncClient(base_url=url, timeout=60) as client:
            return await client.post(PATH, json={"language": "English"} | fields)

    answer = asyncio.run(run())
    assert answer.status_code == 200, answer.text
    return answer


@pytest.mark.parametrize(
    ("fields", "at_once", "told"),
    [
        ({}, 4, ""),
        ({"segments": 2}, 2, ""),
        ({"max_parallel": 6}, 6, ""),
        ({"max_parallel": None}, 4, ""),
        ({"max_parallel": 9}, 6, "max_parallel: 6 at once, not 9"),
        ({"max_parallel": 9, "parallel": False}, 1, ""),
    ],
)
def test_four_are_spoken_side_by_side_unless_others_are_asked_for(
    fields: dict[str, Any], at_once: int, told: str
) -> None:
    engine = CountingEngine(0.1)
    answer = asked(engine, {"text": LONG} | fields, parallel_sentences=6)
    assert (engine.most_at_once, answer.json()["segments"]) == (at_once, 12)
    notice = answer.headers.get("X-Talkie-Notice", "")
    assert (told in notice) if told else "max_parallel" not in notice


@pytest.mark.parametrize("text", [CLAUSES, f"<speak>{CLAUSES}</speak>"], ids=["plain", "SSML"])
def test_pieces_are_of_about_a_hundred_characters(text: str) -> None:
    engine = TimedEngine({})
    segments = asked(engine, {"text": text}).json()["segments"]
    assert segments == len(engine.asked) > 3
    assert max(map(len, engine.asked)) <= 100
