"""Which utterances are spoken when, and who is told when a batch breaks."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from services.contract.errors import EngineFailed
from services.contract.speech import AudioChunk
from services.tts.engine import Utterance
from services.tts.engines.qwen3.scheduler import SAMPLE_RATE_HZ, Job, Scheduler


def job(text: str, *, live: bool = False, seed: int | None = None) -> Job:
    return Job(Utterance(text, "", "en", live=live, seed=seed))


class Stage:
    """Speaks batches; holds the first one back until it is let go."""

    def __init__(self, most: int = 8, most_live: int = 1) -> None:
        self.batches: list[list[str]] = []
        self.go = threading.Event()
        self.scheduler = Scheduler(self._run, most, most_live)

    def _run(self, jobs: list[Job]) -> list[Job]:
        self.batches.append([one.utterance.text for one in jobs])
        self.go.wait(10)
        for one in jobs:
            if one.utterance.text == "breaks":
                raise RuntimeError("out of luck")
            one.send(AudioChunk(bytes(2), SAMPLE_RATE_HZ))
            one.end()
        return []


def outcomes(jobs: list[Job]) -> list[Callable[[], int]]:
    return [lambda one=one: sum(1 for chunk in one.chunks() if chunk.pcm) for one in jobs]  # type: ignore[misc]


def test_live_work_goes_first_and_alone_and_the_rest_together() -> None:
    stage = Stage()
    jobs = [job("first"), job("a"), job("b"), job("alone", seed=1), job("live", live=True), job("live too", live=True)]
    for one in jobs:
        stage.scheduler.submit(one)
        while not stage.batches:  # the first one is under way before the others come
            pass
    stage.go.set()
    assert [heard() for heard in outcomes(jobs)] == [1] * 6
    assert stage.batches == [["first"], ["live"], ["live too"], ["a", "b"], ["alone"]]
    stage.scheduler.close()


def test_a_batch_that_breaks_fails_its_own_jobs_only() -> None:
    stage = Stage(most=1)
    stage.go.set()
    for _ in range(50):
        jobs = [job("breaks"), job("fine"), job("breaks"), job("fine too")]
        for one in jobs:
            stage.scheduler.submit(one)
        broken, fine, broken_too, fine_too = outcomes(jobs)
        assert (fine(), fine_too()) == (1, 1)
        for one in (broken, broken_too):
            with pytest.raises(EngineFailed, match="out of luck"):
                one()
    stage.scheduler.close()


def test_who_left_is_not_spoken() -> None:
    stage = Stage()
    first, left = job("first"), job("left")
    stage.scheduler.submit(first)
    while not stage.batches:
        pass
    stage.scheduler.submit(left)
    chunks = left.chunks()
    next(iter(chunks))
    chunks.close()  # type: ignore[attr-defined]
    stage.go.set()
    stage.scheduler.close()
    assert stage.batches == [["first"]]
