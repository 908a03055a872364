"""How many replicas a load needs: a model of a few formulas, and a simulation that they are held against.

    python -m benchmarks.scaling

No service runs for it and no clock is waited for. The simulation makes up sentences, films, live turns and deaths of
replicas, and treats them as the services do. What to make of the figures is in docs/scaling.md.
"""

from __future__ import annotations

import heapq
import itertools
import json
import math
import statistics
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import Any, get_args

from benchmarks.report import RESULTS, report
from services.avatar.settings import AvatarSettings
from services.contract.jobs import Priority
from services.gateway.jobs.queue import LEASE_S
from services.gateway.pipeline import Pace
from services.gateway.settings import GatewaySettings
from services.tts.settings import TtsSettings

SEGMENTS_PER_REPLICA = 3
"""Of one film, in flight: as services/gateway/jobs/runner.py has it."""

SPOKEN_AT_ONCE: int = GatewaySettings.model_fields["parallel_sentences"].default
MAX_WAITING: int = AvatarSettings.model_fields["max_waiting"].default
TTS_LANES: int = TtsSettings.model_fields["lanes"].default

AGAIN_S = 1.0
"""What all replicas refuse is asked for again after about so long."""

HELD_UP = 0.2
"""What the order of a film costs, read off the simulation: see `in_order`. Sentences less alike than a cv of 0.6 cost
more: twice as much with 1."""

PRIORITIES: tuple[Priority, ...] = get_args(Priority)

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
    """Seconds of film that a lane by itself makes in a second."""
    lanes: int = 1
    """Segments that a replica works on at once; others wait."""
    full_speed_lanes: float = 1.0
    """How many of them lose nothing by each other: all that have cores, one on a GPU, the gain of a batch."""
    overhead_s: float = 0.0
    """What a segment costs beside its length."""
    max_waiting: int = MAX_WAITING
    """A replica refuses more."""

    @property
    def servers(self) -> float:
        """Lanes at full speed, over all replicas."""
        return self.replicas * self.full_speed_lanes

    def work_s(self, length_s: float) -> float:
        """Return how long a lane by itself works on so much film."""
        return self.overhead_s + length_s / self.speed


# The model.


def erlang_c(servers: int, load: float) -> float:
    """Return the share of arrivals that wait where `load` of `servers` are busy on average (M/M/c)."""
    if load >= servers:
        return 1.0
    blocked = 1.0
    for number in range(1, servers + 1):
        blocked = load * blocked / (number + load * blocked)
    return blocked / (1 - load / servers * (1 - blocked))


def late_share(service: Service, segments_per_s: float, lengths: Lengths, budget_s: float) -> float:
    """Return the share of segments that wait for a lane for longer than `budget_s`.

    Erlang's C tells who waits. Who does has chosen a replica and stays there: its wait is exponential, what one lane
    has in hand and this replica's part of the line. With one replica that is M/M/c to the letter. One gateway knows
    what is in flight where; of many that do not know of each other, the bound is a replica by itself with its part.
    """
    work_s = service.work_s(lengths.mean_s)
    servers, load = math.floor(service.servers), segments_per_s * work_s
    if load >= servers:
        return 1.0
    line = load / (servers - load) / service.replicas
    mean_wait_s = work_s / service.full_speed_lanes * (1 + line)
    return erlang_c(servers, load) * math.exp(-budget_s / mean_wait_s)


def segments_per_s(sessions: int, talk_share: float, lengths: Lengths) -> float:
    """Return how many sentences are asked for where so many sessions hear one for `talk_share` of their time."""
    return sessions * talk_share / lengths.mean_s


def replicas_for_live(
    sessions: int, talk_share: float, service: Service, lengths: Lengths, budget_s: float, most_late: float
) -> int:
    """Return how many replicas keep the share of segments that wait for longer than `budget_s` at `most_late`.

    A session has one segment in work at a time: with as many lanes as sessions nobody waits.
    """
    arrivals_per_s = segments_per_s(sessions, talk_share, lengths)
    for replicas in range(1, math.ceil(sessions / service.full_speed_lanes)):
        if late_share(replace(service, replicas=replicas), arrivals_per_s, lengths, budget_s) <= most_late:
            return replicas
    return math.ceil(sessions / service.full_speed_lanes)


def replicas_for_films(
    minutes_a_day: float, peak_factor: float, utilisation: float, service: Service, lengths: Lengths
) -> int:
    """Return how many replicas are busy for `utilisation` of the time while `peak_factor` of the mean is asked."""
    sentences_per_s = minutes_a_day * peak_factor / (24 * 60) / lengths.mean_s
    return math.ceil(sentences_per_s * service.work_s(lengths.mean_s) / service.full_speed_lanes / utilisation)


def pace_of_jobs(face: Service) -> Pace:
    """Return how much of a job's film is made at once."""
    at_once = max(2, SEGMENTS_PER_REPLICA * face.replicas)
    return Pace(spoken_at_once=SPOKEN_AT_ONCE, look_ahead=at_once, rendered_at_once=at_once)


def in_order(servers: float, window: float) -> float:
    """Return how busy one film keeps `servers` where `window` of its sentences may be in work or wait for their turn.

    What is ready behind a sentence that takes long holds places that others could have.
    """
    return 1 / (1 + HELD_UP * math.log2(max(1.0, servers)) * (servers / window) ** 2)


def film_s(minutes: float, speech: Service, face: Service, lengths: Lengths) -> float:
    """Return how long a job takes that has both services to itself.

    Nothing can be rendered before the first sentence is spoken, which shares its replica with those after it. Then
    the slower service sets the pace: speaking all and rendering what comes last, or rendering all, at the end of
    which one server after the other has nothing left to do.
    """
    sentences = minutes * 60 / lengths.mean_s
    speaking_s, rendering_s = speech.work_s(lengths.mean_s), face.work_s(lengths.mean_s)
    at_once = min(sentences, SPOKEN_AT_ONCE)
    speakers, painters = min(at_once, speech.servers), min(sentences, face.servers)
    together = at_once / speakers
    tail_s = rendering_s * (1 + lengths.cv**2) / 2 * sum(1 / n for n in range(2, math.floor(painters) + 1))
    all_spoken_s = sentences * speaking_s / speakers / in_order(speakers, SPOKEN_AT_ONCE)
    all_rendered_s = sentences * rendering_s / painters / in_order(painters, pace_of_jobs(face).rendered_at_once)
    return max(all_spoken_s + together * rendering_s / face.servers, together * speaking_s + all_rendered_s + tail_s)


def turnaround_s(alone_s: float, work_s: float, load: float) -> float:
    """Return how long a job takes beside others: in hand together, they share the replicas evenly (M/G/1-PS).

    `alone_s` is how long it takes by itself, `work_s` the part of that in which all replicas are wanted.
    """
    return alone_s + work_s * load / (1 - load)


def with_spares(needed: int, availability: float, certainty: float = 0.999) -> int:
    """Return how many replicas there must be for `needed` to be alive for `certainty` of the time."""

    def alive(replicas: int, number: int) -> float:
        return math.comb(replicas, number) * availability**number * (1 - availability) ** (replicas - number)

    return next(
        replicas
        for replicas in itertools.count(needed)
        if sum(alive(replicas, number) for number in range(needed, replicas + 1)) >= certainty
    )


# The simulation.


class Clock:
    """Time that goes from event to event."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def after(self, delay_s: float, do: Callable[[], None]) -> None:
        """Have something done then."""
        heapq.heappush(self._events, (self.now_s + delay_s, next(self._numbers), do))

    def run(self, over: Callable[[], bool] = lambda: False) -> None:
        """Let time pass until it is over, or nothing is left to happen."""
        while self._events and not over():
            self.now_s, _, do = heapq.heappop(self._events)
            do()


@dataclass(eq=False)
class Task:
    """A sentence for a service to work on."""

    length_s: float
    work_s: float
    caller: int
    """Which gateway or worker asks: each knows of its own tasks only."""
    done: Callable[[], None]
    asked_s: float
    began_s: float = 0.0
    ended_s: float = math.inf
    left_s: float = 0.0

    @property
    def wait_s(self) -> float:
        """How long after it was asked for it could be played without a stop."""
        return max(self.began_s, self.ended_s - self.length_s) - self.asked_s


class Replica:
    """Lanes that share what the replica can do, and a line before them."""

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
        """Whether it takes one more."""
        room = self._service.lanes + self._service.max_waiting
        return self.alive and len(self._begun) + len(self._waiting) < room

    def take(self, task: Task) -> None:
        """Work on a task as soon as a lane is free."""
        self._pass_time()
        self.in_flight[task.caller] += 1
        self._waiting.append(task)
        self._go_on()

    def die(self) -> list[Task]:
        """Lose everything, and return it."""
        self._pass_time()
        lost = [*self._begun, *self._waiting]
        self._begun.clear()
        self._waiting.clear()
        self.in_flight = [0] * len(self.in_flight)
        self.alive = False
        self._plan += 1
        return lost

    @property
    def _pace(self) -> float:
        return min(1.0, self._service.full_speed_lanes / len(self._begun)) if self._begun else 0.0

    def _pass_time(self) -> None:
        worked_s = (self._clock.now_s - self._since_s) * self._pace
        for task in self._begun:
            task.left_s -= worked_s
        self.busy_s += worked_s * len(self._begun) / self._service.full_speed_lanes
        self._since_s = self._clock.now_s

    def _go_on(self) -> None:
        while self._waiting and len(self._begun) < self._service.lanes:
            task = self._waiting.popleft()
            task.began_s, task.left_s = self._clock.now_s, task.work_s
            self._begun.append(task)
        self._plan += 1
        if self._begun:
            soonest_s = min(task.left_s for task in self._begun) / self._pace
            self._clock.after(soonest_s, partial(self._end_of, self._plan))

    def _end_of(self, plan: int) -> None:
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
            task.done()


@dataclass(frozen=True)
class Deaths:
    """Replicas of the avatar service die and come back."""

    every_s: float
    """Mean life of one."""
    away_s: float
    failover_s: float = LEASE_S
    """Until another one is asked for what it had in hand."""


class Pool:
    """All replicas of a service; each caller asks the one at which it has least in flight."""

    def __init__(self, clock: Clock, service: Service, callers: int = 1) -> None:
        self.service = service
        self.replicas = [Replica(clock, service, callers) for _ in range(service.replicas)]
        self._clock = clock
        self._turns = [itertools.count() for _ in range(callers)]

    def ask(self, task: Task) -> None:
        """Have a task done."""
        turn = next(self._turns[task.caller]) % len(self.replicas)
        open_ones = [one for one in self.replicas[turn:] + self.replicas[:turn] if one.has_room]
        if open_ones:
            min(open_ones, key=lambda one: one.in_flight[task.caller]).take(task)
        else:
            self._clock.after(AGAIN_S, partial(self.ask, task))

    def live_and_die(self, deaths: Deaths, random: Random) -> None:
        """Let replicas die now and then from now on."""

        def live(replica: Replica) -> None:
            replica.alive = True
            self._clock.after(random.expovariate(1 / deaths.every_s), partial(die, replica))

        def die(replica: Replica) -> None:
            for task in replica.die():
                self._clock.after(deaths.failover_s, partial(self.ask, task))
            self._clock.after(deaths.away_s, partial(live, replica))

        for replica in self.replicas:
            live(replica)


@dataclass(eq=False)
class Film:
    """The walk: sentences are spoken ahead, rendered side by side, and shown in order."""

    clock: Clock
    speech: Pool
    face: Pool
    lengths_s: Sequence[float]
    pace: Pace
    over: Callable[[Film], None]
    caller: int = 0
    asked_s: float = 0.0
    spoken: list[Task] = field(default_factory=list)
    rendered: list[Task] = field(default_factory=list)
    _heard: int = 0
    _shown: int = 0

    def go_on(self) -> None:
        """Ask for what can be made now."""
        self._heard, self._shown = _done(self.spoken, self._heard), _done(self.rendered, self._shown)
        while len(self.rendered) < min(self._heard, self._shown + self.pace.rendered_at_once):
            self._ask(self.face, self.rendered)
        taken = min(self._heard, len(self.rendered) + self.pace.look_ahead)
        while len(self.spoken) < min(len(self.lengths_s), taken + self.pace.spoken_at_once):
            self._ask(self.speech, self.spoken)
        if self._shown == len(self.lengths_s):
            self.over(self)

    def _ask(self, pool: Pool, tasks: list[Task]) -> None:
        length_s = self.lengths_s[len(tasks)]
        task = Task(length_s, pool.service.work_s(length_s), self.caller, self.go_on, self.clock.now_s)
        tasks.append(task)
        pool.ask(task)


def _done(tasks: Sequence[Task], number: int) -> int:
    """Return how many of `tasks` are done before the first that is not; of `number` that is known."""
    while number < len(tasks) and tasks[number].ended_s < math.inf:
        number += 1
    return number


@dataclass(frozen=True)
class Scenario:
    """A load, and who bears it."""

    speech: Service
    face: Service
    lengths: Lengths
    turns_per_s: float = 0.0
    """How often somebody begins to be spoken to live."""
    sentences_per_turn: float = 3.0
    films_per_s: float = 0.0
    sentences_per_film: float = 20.0
    interactive_share: float = 0.0
    """Jobs that go before the others."""
    films_at_once: int = 5
    """Of all workers together."""
    callers: int = 1
    deaths: Deaths | None = None


@dataclass
class Outcome:
    """What came of it."""

    waits_s: list[float] = field(default_factory=list)
    """Of each live segment, for the avatar service."""
    gaps: int = 0
    """Live segments that were not there when the one before had been played."""
    films_s: dict[Priority, list[float]] = field(default_factory=lambda: {priority: [] for priority in PRIORITIES})
    """From job to film."""
    utilisation: float = 0.0
    """Of the avatar service."""

    def late_share(self, budget_s: float) -> float:
        """Return the share of live segments that waited for longer."""
        return sum(wait_s > budget_s for wait_s in self.waits_s) / len(self.waits_s)


class Simulation:
    """A scenario, until so many segments are made; the first tenth is not counted."""

    def __init__(self, scenario: Scenario, seed: int, segments: int) -> None:
        self._scenario = scenario
        self._random = Random(seed)
        self._segments = segments
        self._made = 0
        self._clock = Clock()
        self._speech = Pool(self._clock, scenario.speech, scenario.callers)
        self._face = Pool(self._clock, scenario.face, scenario.callers)
        self._callers = itertools.cycle(range(scenario.callers))
        self._lines: dict[Priority, deque[Film]] = {priority: deque() for priority in PRIORITIES}
        self._in_hand = 0
        self._outcome = Outcome()

    def run(self) -> Outcome:
        """Return what came of it."""
        if self._scenario.deaths:
            self._face.live_and_die(self._scenario.deaths, self._random)
        if self._scenario.turns_per_s:
            self._arrive(self._scenario.turns_per_s, self._turn)
        if self._scenario.films_per_s:
            self._arrive(self._scenario.films_per_s, self._job)
        self._clock.run(lambda: self._made >= self._segments)
        busy_s = sum(replica.busy_s for replica in self._face.replicas)
        self._outcome.utilisation = busy_s / len(self._face.replicas) / self._clock.now_s
        return self._outcome

    def _arrive(self, per_s: float, what: Callable[[], None]) -> None:
        def arrived() -> None:
            self._arrive(per_s, what)
            what()

        self._clock.after(self._random.expovariate(per_s), arrived)

    def _turn(self) -> None:
        self._film(self._scenario.sentences_per_turn, Pace(), self._turn_over).go_on()

    def _job(self) -> None:
        priority: Priority = "interactive" if self._random.random() < self._scenario.interactive_share else "batch"
        over = partial(self._job_over, priority)
        pace = pace_of_jobs(self._scenario.face)
        self._lines[priority].append(self._film(self._scenario.sentences_per_film, pace, over))
        self._work()

    def _film(self, mean_sentences: float, pace: Pace, over: Callable[[Film], None]) -> Film:
        lengths_s = [self._scenario.lengths.draw(self._random)]
        while self._random.random() * mean_sentences >= 1:
            lengths_s.append(self._scenario.lengths.draw(self._random))
        caller, now_s = next(self._callers), self._clock.now_s
        return Film(self._clock, self._speech, self._face, lengths_s, pace, over, caller, now_s)

    def _work(self) -> None:
        while self._in_hand < self._scenario.films_at_once and any(self._lines.values()):
            self._in_hand += 1
            next(line for line in self._lines.values() if line).popleft().go_on()

    def _job_over(self, priority: Priority, film: Film) -> None:
        self._in_hand -= 1
        if self._counts(film):
            self._outcome.films_s[priority].append(self._clock.now_s - film.asked_s)
        self._work()

    def _turn_over(self, film: Film) -> None:
        if not self._counts(film):
            return
        played_s = film.rendered[0].asked_s + film.rendered[0].wait_s
        for task in film.rendered:
            ready_s = task.asked_s + task.wait_s
            self._outcome.waits_s.append(task.wait_s)
            self._outcome.gaps += ready_s > played_s
            played_s = max(ready_s, played_s) + task.length_s

    def _counts(self, film: Film) -> bool:
        self._made += len(film.rendered)
        return self._made > self._segments / 10


def simulate(scenario: Scenario, seed: int, segments: int) -> Outcome:
    """Return what comes of a scenario."""
    return Simulation(scenario, seed, segments).run()


def simulated_film_s(minutes: float, speech: Service, face: Service, lengths: Lengths, films: int = 40) -> float:
    """Return how long a job takes that has both services to itself, the mean of some."""

    def one(seed: int) -> float:
        clock, random = Clock(), Random(seed)
        lengths_s = [lengths.draw(random) for _ in range(round(minutes * 60 / lengths.mean_s))]
        pools = Pool(clock, speech), Pool(clock, face)
        Film(clock, *pools, lengths_s, pace_of_jobs(face), over=lambda _: None).go_on()
        clock.run()
        return clock.now_s

    return statistics.mean(one(seed) for seed in range(films))


# One held against the other.

LENGTHS = Lengths()
"""The mean is that of the sentence in benchmarks/render.py, 10.2 a minute; the spread is assumed."""

# Assumed: what an operator wants and expects.
BUDGET_S, MOST_LATE, TALK_SHARE = 0.5, 0.05, 0.5

ESPEAK = Service(1, 1000.0, lanes=TTS_LANES)
"""Not what is waited for: hundreds of times as fast as speech were measured, and `portrait` has it in it."""

# Assumed until a GPU measures them: what users report of Qwen3-TTS, one row on an H100, and of other MuseTalk servers
# on a 4090; and the aim of docs/decisions/0017. What a batch of voices gains is left out.
QWEN3 = Service(1, 4.0, lanes=TTS_LANES)
MUSETALK_72_FPS, MUSETALK_350_FPS = Service(1, 72 / 25), Service(1, 350 / 25)

REPLICAS, LOADS, SESSIONS = (1, 2, 4, 8, 16), (0.3, 0.5, 0.7, 0.9), (5, 10, 25, 50, 100)
_TOO_RARE = 0.002


def portrait() -> Service:
    """Return the portrait engine on two cores, as measured: nine minutes of film more, and what they took more."""
    short, long = _measured("render_memory")[-2:]
    return Service(1, 60 * (long["minutes"] - short["minutes"]) / (long["taken_s"] - short["taken_s"]))


def main() -> None:
    """Calculate, simulate, print the table and keep it."""
    with ProcessPoolExecutor() as processes:
        made = [processes.submit(*cell) for cell in cells()]
        report("scaling", [*real(), *(row for one in made for row in one.result())])


def cells() -> Iterator[tuple[Any, ...]]:
    """Yield what is simulated: functions that return rows, and what they are called with."""
    grid = list(itertools.product(REPLICAS, LOADS))
    yield from ((jobs, *cell) for cell in reversed(grid))  # the longest first
    yield from ((jobs, replicas, 0.7, 2) for replicas in (8, 16))
    yield dying, 4, 0.7
    yield preferred, 4, 0.7
    yield from ((live, *cell) for cell in grid)
    yield from ((live, 8, 0.7, gateways) for gateways in (2, 8))
    yield live, 2, 0.4, 2  # what `mixed` has of it, on replicas of its own
    yield from ((live, replicas, 0.7, 1, 4) for replicas in (1, 4))
    yield from ((mixed, films_at_once) for films_at_once in (1, 2, 5))
    shared = replace(MUSETALK_350_FPS, lanes=4)
    for face, sessions in itertools.product((MUSETALK_72_FPS, portrait(), MUSETALK_350_FPS, shared), SESSIONS):
        yield needed, "avatar", sessions, face
    yield from ((needed, "tts", sessions, QWEN3) for sessions in SESSIONS)
    for minutes, replicas in itertools.product((1, 10, 60), REPLICAS):
        yield alone, minutes, replicas, portrait(), 0, ESPEAK
    yield from ((alone, 10, replicas, MUSETALK_350_FPS, voices, QWEN3) for voices, replicas in ((1, 1), (1, 4), (4, 4)))


def live(replicas: int, load: float, gateways: int = 1, lanes: int = 1) -> list[Row]:
    """How many segments of live turns come late, and before how many of them the film stands still."""
    face = replace(portrait(), replicas=replicas, lanes=lanes)
    per_s = load * replicas / face.work_s(LENGTHS.mean_s)
    outcome = simulate(_turns(face, per_s, gateways), replicas, _enough(load))
    what = "live, late" if lanes == 1 else f"live, late, {lanes} lanes share each replica"
    modelled = late_share(face, per_s, LENGTHS, BUDGET_S)
    if gateways > 1:
        what += f", {gateways} gateways; bound"
        modelled = late_share(replace(face, replicas=1), per_s / replicas, LENGTHS, BUDGET_S)
    return _late(what, replicas, load, modelled, outcome)


def mixed(films_at_once: int, replicas: int = 4, live_load: float = 0.2, load: float = 0.7) -> list[Row]:
    """The same behind the segments of jobs."""
    face = replace(portrait(), replicas=replicas)
    full_per_s = replicas / face.work_s(LENGTHS.mean_s)
    scenario = replace(_turns(face, live_load * full_per_s, gateways=2), films_at_once=films_at_once)
    scenario = replace(scenario, films_per_s=(load - live_load) * full_per_s / scenario.sentences_per_film)
    outcome = simulate(scenario, films_at_once, 2 * _enough(load))
    modelled = late_share(face, load * full_per_s, LENGTHS, BUDGET_S)
    return _late(f"live, late, {films_at_once} jobs in hand beside", replicas, load, modelled, outcome)


def needed(service: str, sessions: int, one: Service) -> list[Row]:
    """How many replicas live sessions need: by the model, and the fewest that do in the simulation."""
    per_s = segments_per_s(sessions, TALK_SHARE, LENGTHS)
    load = per_s * one.work_s(LENGTHS.mean_s)

    def enough(replicas: int) -> bool:
        outcome = simulate(_turns(replace(one, replicas=replicas), per_s), replicas, 20_000)
        return outcome.late_share(BUDGET_S) <= MOST_LATE

    fewest = next(filter(enough, itertools.count(math.floor(load) + 1)))
    modelled = replicas_for_live(sessions, TALK_SHARE, one, LENGTHS, BUDGET_S, MOST_LATE)
    what = f"{service} replicas for {sessions} live, speed {one.speed:.1f}, lanes {one.lanes}"
    return [_row(what, fewest, load / fewest, modelled, fewest)]


def jobs(replicas: int, load: float, films_at_once: int = 5) -> list[Row]:
    """How long jobs of two minutes take from being asked for."""
    outcome, modelled_s = _jobs(replicas, load, films_at_once=films_at_once)
    found_s = statistics.mean(outcome.films_s["batch"])
    return [_row(f"a job of two minutes, s, {films_at_once} in hand", replicas, load, modelled_s, found_s)]


def dying(replicas: int, load: float) -> list[Row]:
    """The same where every replica dies once in ten minutes, and is away for one."""
    deaths = Deaths(every_s=600, away_s=60)
    outcome, _ = _jobs(replicas, load, deaths=deaths)
    modelled_s = _turnaround_s(replicas, load * (deaths.every_s + deaths.away_s) / deaths.every_s)
    found_s = statistics.mean(outcome.films_s["batch"])
    return [_row("a job of two minutes, s, replicas die", replicas, load, modelled_s, found_s)]


def preferred(replicas: int, load: float) -> list[Row]:
    """What a fifth of the jobs gains by going before the others."""
    outcome, _ = _jobs(replicas, load, films_at_once=1, interactive_share=0.2)
    what = "a job of two minutes, s, 1 in hand"
    return [
        _row(f"{what}, {priority}", replicas, load, None, statistics.mean(films_s))
        for priority, films_s in outcome.films_s.items()
    ]


def alone(minutes: int, replicas: int, one: Service, voices: int, speech: Service) -> list[Row]:
    """How long a film takes by itself."""
    both = replace(speech, replicas=max(1, voices)), replace(one, replicas=replicas)
    what = f"a film of {minutes} min alone, s" + (f", {voices} × qwen3" if voices else "")
    return [_row(what, replicas, None, film_s(minutes, *both, LENGTHS), simulated_film_s(minutes, *both, LENGTHS))]


def real() -> list[Row]:
    """What a film took on real services, on four replicas; what the engine and each segment take is known from one."""
    one, four = _measured("jobs_long_film")
    engine_s = one["wall_s"] * one["replicas_busy"]
    overhead_s = (one["wall_s"] - engine_s) / one["segments"]
    face = Service(four["replicas"], one["film_s"] / engine_s, overhead_s=overhead_s)
    modelled_s = film_s(four["film_s"] / 60, ESPEAK, face, Lengths(four["film_s"] / four["segments"]))
    return [_row("a film alone, s, real services", four["replicas"], None, modelled_s, four["wall_s"])]


def _measured(name: str) -> list[Row]:
    rows: list[Row] = json.loads((RESULTS / f"{name}.json").read_text())["rows"]
    return rows


def _turns(face: Service, per_s: float, gateways: int = 1) -> Scenario:
    scenario = Scenario(ESPEAK, face, LENGTHS, callers=gateways)
    return replace(scenario, turns_per_s=per_s / scenario.sentences_per_turn)


def _jobs(replicas: int, load: float, **changes: Any) -> tuple[Outcome, float]:
    face = replace(portrait(), replicas=replicas)
    scenario = Scenario(ESPEAK, face, LENGTHS, **changes)
    per_s = load * replicas / face.work_s(LENGTHS.mean_s)
    scenario = replace(scenario, films_per_s=per_s / scenario.sentences_per_film)
    return simulate(scenario, replicas, 2 * _enough(load)), _turnaround_s(replicas, load)


def _turnaround_s(replicas: int, load: float) -> float:
    face = replace(portrait(), replicas=replicas)
    film_length_s = Scenario.sentences_per_film * LENGTHS.mean_s
    alone_s = film_s(film_length_s / 60, ESPEAK, face, LENGTHS)
    return turnaround_s(alone_s, film_length_s / face.speed / replicas, load)


def _enough(load: float) -> int:
    """Return how many segments tell enough: the fuller the replicas, the longer a bad time lasts."""
    return round(10_000 / math.pow(1 - load, 1.5))


def _late(what: str, replicas: int, load: float, modelled: float, outcome: Outcome) -> list[Row]:
    gaps = outcome.gaps / len(outcome.waits_s)
    return [_row(what, replicas, load, modelled, outcome.late_share(BUDGET_S), gaps)]


def _row(
    what: str, replicas: int, load: float | None, model: float | None, found: float, gaps: float | None = None
) -> Row:
    off = None if model is None or max(model, found) < _TOO_RARE else f"{model / found - 1:+.0%}"
    figures = {"model": model, "found": found, "model is off by": off, "found after a gap": gaps}
    return {"what": what, "replicas": replicas, "load": load} | figures


if __name__ == "__main__":
    main()
