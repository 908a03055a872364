"""How many replicas a load needs: a model of a few formulas, and a simulation that checks them.

    python -m benchmarks.scaling

No service runs for it and no clock is waited for: the simulation makes up sentences, films, live turns and deaths of
replicas, and treats them as the services do. What to make of it is in docs/scaling.md.
"""

from __future__ import annotations

import heapq
import itertools
import json
import math
import statistics
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import Any

from benchmarks.report import RESULTS, report
from services.gateway.jobs.queue import LEASE_S

SEGMENTS_PER_REPLICA = 3
"""Of one film, in flight: as in services/gateway/jobs/runner.py."""

SPOKEN_AT_ONCE = 8
"""GATEWAY_PARALLEL_SENTENCES."""

AGAIN_S = 1.0
"""A segment that all replicas refuse is asked for again after so long."""

_DAY_S = 24 * 3600

Row = dict[str, Any]


@dataclass(frozen=True)
class Lengths:
    """How long sentences last, pauses included: gamma-distributed, which with a `cv` of 1 is exponential."""

    mean_s: float = 6.0
    cv: float = 0.6
    """Standard deviation, in means."""

    def draw(self, random: Random) -> float:
        """Return the length of one sentence in seconds."""
        shape = self.cv**-2
        return random.gammavariate(shape, self.mean_s / shape)


@dataclass(frozen=True)
class Service:
    """The tts or the avatar service: replicas with lanes."""

    replicas: int
    speed: float
    """Seconds of film that a lane by itself makes in one second."""
    lanes: int = 1
    """Segments that a replica works on at once; more wait."""
    full_speed_lanes: float = 1.0
    """How many of them go at full speed beside each other: all that have cores, one on a GPU, the gain of a batch."""
    overhead_s: float = 0.0
    """What a segment costs beside its length."""
    together: bool = False
    """Whether a replica begins nothing before all it has begun is done: the batches of qwen3."""
    max_waiting: int = 16
    """More are refused by a replica."""

    @property
    def servers(self) -> float:
        """Lanes at full speed, over all replicas."""
        return self.replicas * self.full_speed_lanes

    def work_s(self, length_s: float) -> float:
        """Return how long a lane by itself works on so much film."""
        return self.overhead_s + length_s / self.speed


def erlang_c(servers: int, load: float) -> float:
    """Return the share of arrivals that wait where `load` of `servers` are busy on average (M/M/c, one line)."""
    if load >= servers:
        return 1.0
    blocked = 1.0
    for number in range(1, servers + 1):
        blocked = load * blocked / (number + load * blocked)
    return blocked / (1 - load / servers * (1 - blocked))


def late_share(service: Service, segments_per_s: float, lengths: Lengths, budget_s: float) -> float:
    """Return the share of segments that wait for longer than `budget_s`.

    Erlang's C tells who waits, and the waiting is exponential, as it is with exponential work; its mean is that of
    exponential work times (1 + cv²) / 2, which is Lee and Longton's and right for a single server.
    """
    work_s = service.work_s(lengths.mean_s)
    servers, load = math.floor(service.servers), segments_per_s * work_s
    if load >= servers:
        return 1.0
    mean_wait_s = work_s / (servers - load) * (1 + lengths.cv**2) / 2
    return erlang_c(servers, load) * math.exp(-budget_s / mean_wait_s)


def replicas_for_live(
    sessions: int, talk_share: float, service: Service, lengths: Lengths, budget_s: float, most_late: float
) -> int:
    """Return how many replicas keep the share of segments that wait for longer than `budget_s` below `most_late`."""
    segments_per_s = sessions * talk_share / lengths.mean_s
    return next(
        replicas
        for replicas in itertools.count(1)
        if late_share(replace(service, replicas=replicas), segments_per_s, lengths, budget_s) <= most_late
    )


def replicas_for_films(
    minutes_a_day: float, peak_factor: float, utilisation: float, service: Service, lengths: Lengths
) -> int:
    """Return how many replicas are busy for `utilisation` of the time in the hours that ask `peak_factor` the mean."""
    segments_per_s = 60 * minutes_a_day * peak_factor / _DAY_S / lengths.mean_s
    return math.ceil(segments_per_s * service.work_s(lengths.mean_s) / service.full_speed_lanes / utilisation)


def film_s(minutes: float, speech: Service, face: Service, lengths: Lengths) -> float:
    """Return how long a film takes that has both services to itself.

    Its first sentence is spoken while nothing can be rendered. Then the slower service makes the rest, until at the
    end its servers run out of work one after the other: what is left in the one that ends last is, beyond the
    mean, the residual work times the harmonic number of servers less one.
    """
    sentences = minutes * 60 / lengths.mean_s
    spoken_side_by_side = min(speech.servers, SPOKEN_AT_ONCE)
    first_s = speech.work_s(lengths.mean_s)
    speaking_s = (sentences - 1) * speech.work_s(lengths.mean_s) / spoken_side_by_side
    rendering_s = sentences * face.work_s(lengths.mean_s) / min(face.servers, sentences)
    servers = min(face.servers, sentences)
    residual_s = face.work_s(lengths.mean_s) * (1 + lengths.cv**2) / 2
    tail_s = residual_s * (sum(1 / n for n in range(1, math.ceil(servers) + 1)) - 1)
    return first_s + max(speaking_s + face.work_s(lengths.mean_s), rendering_s + tail_s)


def turnaround_s(alone_s: float, load: float) -> float:
    """Return how long a film takes that shares the services: films in hand share them evenly (M/G/1-PS)."""
    return alone_s / (1 - load)


def with_spares(needed: int, availability: float, certainty: float = 0.999) -> int:
    """Return how many replicas have `needed` of them alive for the share `certainty` of the time."""

    def certain(replicas: int) -> bool:
        alive = (math.comb(replicas, n) * availability**n * (1 - availability) ** (replicas - n) for n in range(replicas + 1))
        return sum(list(alive)[needed:]) >= certainty

    return next(replicas for replicas in itertools.count(needed) if certain(replicas))


class Clock:
    """Time that passes from event to event."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def after(self, delay_s: float, do: Callable[[], None]) -> None:
        """Have something done."""
        heapq.heappush(self._events, (self.now_s + delay_s, next(self._numbers), do))

    def run(self, until: Callable[[], bool]) -> None:
        """Let time pass."""
        while self._events and not until():
            self.now_s, _, do = heapq.heappop(self._events)
            do()


@dataclass(eq=False)
class Task:
    """A sentence for a service, of one of `caller`s, each of which knows of its own tasks only."""

    work_s: float
    caller: int
    done: Callable[[Task], None]
    asked_s: float = 0.0
    began_s: float = 0.0
    ended_s: float = 0.0
    left_s: float = 0.0


class Replica:
    """Lanes that share what the replica can do, and a line of tasks."""

    def __init__(self, clock: Clock, service: Service, callers: int) -> None:
        self._clock = clock
        self._service = service
        self._begun: list[Task] = []
        self._waiting: deque[Task] = deque()
        self._since_s = 0.0
        self._plan = 0
        self.in_flight = [0] * callers
        self.busy_s = 0.0
        self.alive = True

    @property
    def has_room(self) -> bool:
        """Whether a task is let in."""
        room = self._service.lanes + self._service.max_waiting
        return self.alive and len(self._begun) + len(self._waiting) < room

    def take(self, task: Task) -> None:
        """Work on a task as soon as a lane is free."""
        self._pass_time()
        self.in_flight[task.caller] += 1
        self._waiting.append(task)
        self._go_on()

    def die(self) -> list[Task]:
        """Drop everything, and return it."""
        self._pass_time()
        lost = [*self._begun, *self._waiting]
        self._begun, self.alive = [], False
        self._waiting.clear()
        self.in_flight = [0] * len(self.in_flight)
        self._go_on()
        return lost

    @property
    def _pace(self) -> float:
        return min(1.0, self._service.full_speed_lanes / max(1, len(self._begun)))

    def _pass_time(self) -> None:
        passed_s = self._clock.now_s - self._since_s
        for task in self._begun:
            task.left_s -= passed_s * self._pace
        self.busy_s += passed_s * self._pace * len(self._begun) / self._service.full_speed_lanes
        self._since_s = self._clock.now_s

    def _go_on(self) -> None:
        if not (self._service.together and self._begun):
            while self._waiting and len(self._begun) < self._service.lanes:
                task = self._waiting.popleft()
                task.began_s, task.left_s = self._clock.now_s, task.work_s
                self._begun.append(task)
        self._plan += 1
        if self._begun:
            soonest_s = min(task.left_s for task in self._begun) / self._pace
            self._clock.after(max(0.0, soonest_s), partial(self._end, self._plan))

    def _end(self, plan: int) -> None:
        if plan != self._plan:  # something came between
            return
        self._pass_time()
        ended = [task for task in self._begun if task.left_s < 1e-9]
        self._begun = [task for task in self._begun if task.left_s >= 1e-9]
        for task in ended:
            self.in_flight[task.caller] -= 1
            task.ended_s = self._clock.now_s
        self._go_on()
        for task in ended:
            task.done(task)


@dataclass(frozen=True)
class Deaths:
    """Replicas of the avatar service die, and come back."""

    every_s: float
    """Mean life of a replica."""
    away_s: float
    failover_s: float = LEASE_S
    """Until what it worked on is asked of another one."""


class Pool:
    """The replicas of a service; a caller asks the one on which it has the least in flight."""

    def __init__(self, clock: Clock, service: Service, callers: int) -> None:
        self.service = service
        self.replicas = [Replica(clock, service, callers) for _ in range(service.replicas)]
        self._clock = clock
        self._turns = itertools.count()

    def ask(self, task: Task) -> None:
        """Have a task done."""
        turn = next(self._turns) % len(self.replicas)
        in_turn = self.replicas[turn:] + self.replicas[:turn]
        free = [replica for replica in in_turn if replica.has_room]
        if free:
            min(free, key=lambda replica: replica.in_flight[task.caller]).take(task)
        else:
            self._clock.after(AGAIN_S, partial(self.ask, task))

    def die_now_and_then(self, deaths: Deaths, random: Random) -> None:
        """Let the replicas die and come back from now on."""

        def die(replica: Replica) -> None:
            for task in replica.die():
                self._clock.after(deaths.failover_s, partial(self.ask, task))
            self._clock.after(deaths.away_s, partial(come_back, replica))

        def come_back(replica: Replica) -> None:
            replica.alive = True
            self._clock.after(random.expovariate(1 / deaths.every_s), partial(die, replica))

        for replica in self.replicas:
            come_back(replica)


@dataclass(frozen=True)
class Pace:
    """How much of one film is made at once, as in services/gateway/pipeline.py; these are those of a live stream."""

    spoken_at_once: int = 1
    look_ahead: int = 2
    rendered_at_once: int = 1


@dataclass(eq=False)
class Film:
    """The walk: sentences are spoken ahead, rendered side by side, and shown in order."""

    clock: Clock
    speech: Pool
    face: Pool
    lengths_s: Sequence[float]
    pace: Pace
    caller: int
    over: Callable[[Film], None]
    began_s: float = 0.0
    tasks: list[Task] = field(default_factory=list)
    """What was asked of the avatar service, in order."""

    def begin(self) -> None:
        """Ask for the first sentences."""
        self.began_s = self.clock.now_s
        self._spoken: list[Task] = []
        self._heard = self._shown = 0
        self._go_on()

    def _go_on(self, _: Task | None = None) -> None:
        pace, total = self.pace, len(self.lengths_s)
        self._heard = _first_undone(self._spoken, self._heard)
        self._shown = _first_undone(self.tasks, self._shown)
        while len(self.tasks) < min(self._heard, self._shown + pace.rendered_at_once):
            self.tasks.append(self._asked(self.face, len(self.tasks)))
        taken = min(self._heard, len(self.tasks) + pace.look_ahead)
        while len(self._spoken) < min(total, taken + pace.spoken_at_once):
            self._spoken.append(self._asked(self.speech, len(self._spoken)))
        if self._shown == total:
            self.over(self)

    def _asked(self, pool: Pool, index: int) -> Task:
        work_s = pool.service.work_s(self.lengths_s[index])
        task = Task(work_s, self.caller, self._go_on, asked_s=self.clock.now_s)
        pool.ask(task)
        return task


def _first_undone(tasks: Sequence[Task], index: int) -> int:
    while index < len(tasks) and tasks[index].ended_s:
        index += 1
    return index


@dataclass(frozen=True)
class Scenario:
    """A load, and what there is to bear it."""

    speech: Service
    face: Service
    lengths: Lengths = Lengths()
    turns_per_s: float = 0.0
    """Somebody is spoken to live."""
    sentences_per_turn: float = 3.0
    films_per_s: float = 0.0
    sentences_per_film: float = 20.0
    interactive_share: float = 0.0
    """Films that go before the others."""
    films_at_once: int = 2
    """Of all workers together."""
    callers: int = 1
    """Gateways and workers."""
    deaths: Deaths | None = None


@dataclass
class Outcome:
    """What came of it."""

    waits_s: list[float] = field(default_factory=list)
    """How long each live segment waited for a lane of the avatar service."""
    gaps: int = 0
    """Live segments that had not begun when the one before was played to its end."""
    films_s: list[float] = field(default_factory=list)
    """From a job to its film."""
    utilisation: float = 0.0

    def late_share(self, budget_s: float) -> float:
        """Return the share of live segments that waited for longer."""
        return sum(wait_s > budget_s for wait_s in self.waits_s) / len(self.waits_s)


def simulate(scenario: Scenario, seed: int, segments: int) -> Outcome:
    """Let about so many segments be made, and tell how it went; the first tenth is not counted."""
    return _Simulation(scenario, Random(seed), segments).run()


class _Simulation:
    def __init__(self, scenario: Scenario, random: Random, segments: int) -> None:
        self._scenario = scenario
        self._random = random
        self._most = segments
        self._made = 0
        self._clock = Clock()
        self._speech = Pool(self._clock, scenario.speech, scenario.callers)
        self._face = Pool(self._clock, scenario.face, scenario.callers)
        self._callers = itertools.cycle(range(scenario.callers))
        self._lines: tuple[deque[Film], deque[Film]] = (deque(), deque())
        self._in_hand = 0
        self._outcome = Outcome()

    def run(self) -> Outcome:
        scenario = self._scenario
        if scenario.deaths:
            self._face.die_now_and_then(scenario.deaths, self._random)
        if scenario.turns_per_s:
            self._arrive(scenario.turns_per_s, self._turn)
        if scenario.films_per_s:
            self._arrive(scenario.films_per_s, self._job)
        self._clock.run(lambda: self._made >= self._most)
        busy_s = sum(replica.busy_s for replica in self._face.replicas)
        self._outcome.utilisation = busy_s / len(self._face.replicas) / self._clock.now_s
        return self._outcome

    def _arrive(self, per_s: float, what: Callable[[], None]) -> None:
        def arrived() -> None:
            self._arrive(per_s, what)
            what()

        self._clock.after(self._random.expovariate(per_s), arrived)

    def _turn(self) -> None:
        self._film(self._scenario.sentences_per_turn, Pace(), self._turn_over).begin()

    def _job(self) -> None:
        at_once = max(2, SEGMENTS_PER_REPLICA * self._scenario.face.replicas)
        film = self._film(self._scenario.sentences_per_film, Pace(SPOKEN_AT_ONCE, at_once, at_once), self._film_over)
        film.began_s = asked_s = self._clock.now_s
        film.over = partial(self._film_over, asked_s=asked_s)
        self._lines[self._random.random() >= self._scenario.interactive_share].append(film)
        self._work()

    def _film(self, mean_sentences: float, pace: Pace, over: Callable[..., None]) -> Film:
        sentences = 1 + math.floor(math.log(1 - self._random.random()) / math.log(1 - 1 / mean_sentences))
        lengths_s = [self._scenario.lengths.draw(self._random) for _ in range(sentences)]
        return Film(self._clock, self._speech, self._face, lengths_s, pace, next(self._callers), over)

    def _work(self) -> None:
        while self._in_hand < self._scenario.films_at_once and any(self._lines):
            self._in_hand += 1
            next(line for line in self._lines if line).popleft().begin()

    def _film_over(self, film: Film, asked_s: float) -> None:
        self._in_hand -= 1
        if self._counts(film):
            self._outcome.films_s.append(self._clock.now_s - asked_s)
        self._work()

    def _turn_over(self, film: Film) -> None:
        if not self._counts(film):
            return
        played_s = math.inf
        for task, length_s in zip(film.tasks, film.lengths_s, strict=True):
            self._outcome.waits_s.append(task.began_s - task.asked_s)
            self._outcome.gaps += task.began_s > played_s
            played_s = max(task.began_s, played_s if math.isfinite(played_s) else 0.0) + length_s

    def _counts(self, film: Film) -> bool:
        self._made += len(film.tasks)
        return self._made > self._most / 10
