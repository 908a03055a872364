"""The capacity model on cases that can be done by hand, and its simulation where theory is exact."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from statistics import mean

import pytest

from benchmarks import scaling
from benchmarks.scaling import (
    Clock,
    Deaths,
    Film,
    Lengths,
    Outcome,
    Pool,
    Scenario,
    Service,
    Task,
    erlang_c,
    film_s,
    in_order,
    late_share,
    pace_of_jobs,
    replicas_for_films,
    replicas_for_live,
    segments_per_s,
    simulate,
    turnaround_s,
    with_spares,
)
from services.gateway.jobs import runner

EXPONENTIAL = Lengths(mean_s=6.0, cv=1.0)
AT_ONCE = Service(1, 1e9, lanes=1000, full_speed_lanes=1000)
"""A tts service that nobody waits for."""

DOC = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text("utf-8")


class TestModel:
    def test_who_waits(self) -> None:
        assert erlang_c(1, 0.4) == pytest.approx(0.4)
        assert erlang_c(2, 1.0) == pytest.approx(1 / 3)
        assert erlang_c(3, 2.0) == pytest.approx(4 / 9)
        assert erlang_c(2, 2.0) == 1.0

    def test_how_long_one_waits_at_one_replica(self) -> None:
        service = Service(1, speed=6.0)  # a sentence of six seconds takes one
        assert late_share(service, 0.5, EXPONENTIAL, 0.0) == pytest.approx(0.5)
        assert late_share(service, 0.5, EXPONENTIAL, 2.0) == pytest.approx(0.5 * 2.718281828**-1)
        assert late_share(service, 1.0, EXPONENTIAL, 2.0) == 1.0

    def test_what_a_segment_costs(self) -> None:
        assert Service(1, speed=4.0, overhead_s=0.5).work_s(6.0) == pytest.approx(2.0)
        assert segments_per_s(12, 0.5, EXPONENTIAL) == pytest.approx(1.0)

    def test_replicas_for_live_sessions_are_just_enough(self) -> None:
        service = Service(1, speed=6.0)
        assert replicas_for_live(9, 0.0, service, EXPONENTIAL, 0.5, 0.05) == 1
        assert replicas_for_live(2, 1.0, service, EXPONENTIAL, 0.0, 0.0) == 2
        enough = replicas_for_live(48, 0.5, service, EXPONENTIAL, 0.5, 0.05)
        late = [late_share(replace(service, replicas=n), 4.0, EXPONENTIAL, 0.5) for n in (enough - 1, enough)]
        assert late[0] > 0.05 >= late[1]

    def test_replicas_for_films(self) -> None:
        service = Service(1, speed=2.0)  # half of it makes a minute of film every minute
        assert replicas_for_films(24 * 60, 1.0, 0.5, service, EXPONENTIAL) == 1
        assert replicas_for_films(24 * 60, 3.0, 0.5, service, EXPONENTIAL) == 3
        assert replicas_for_films(24 * 60, 3.0, 0.5, replace(service, full_speed_lanes=2), EXPONENTIAL) == 2

    def test_a_film_alone(self) -> None:
        face = Service(1, speed=6.0)
        assert film_s(10, AT_ONCE, face, EXPONENTIAL) == pytest.approx(100.0)
        ten_voices = Service(10, speed=60.0)  # the first sentence takes 0.1 s, and nobody shares its voice
        assert film_s(10, ten_voices, face, EXPONENTIAL) == pytest.approx(100.1)
        one_slow_voice = Service(1, speed=2.0, lanes=16)  # speaks for 300 s; the last eight sentences come together
        assert film_s(10, one_slow_voice, face, EXPONENTIAL) == pytest.approx(308.0)

    def test_order_costs_nothing_where_there_is_one(self) -> None:
        assert in_order(1, 3) == 1.0
        assert in_order(8, 8) == pytest.approx(1 / 1.6)

    def test_a_job_beside_others(self) -> None:
        assert turnaround_s(10.0, 8.0, 0.5) == pytest.approx(18.0)

    def test_spares(self) -> None:
        assert with_spares(3, 1.0) == 3
        assert with_spares(1, 0.9, certainty=0.98) == 2
        assert with_spares(4, 0.99, certainty=0.999) == 5

    def test_what_it_says_of_the_services_is_so(self) -> None:
        assert scaling.SEGMENTS_PER_REPLICA == runner._SEGMENTS_PER_REPLICA
        assert pace_of_jobs(Service(4, 1.0)).rendered_at_once == 12


class TestDoc:
    SERVICES = (scaling.MUSETALK_72_FPS, scaling.portrait(), scaling.MUSETALK_350_FPS, scaling.QWEN3)

    def test_the_table_of_live_sessions_is_the_models(self) -> None:
        needed = partial(
            replicas_for_live,
            talk_share=scaling.TALK_SHARE,
            lengths=scaling.LENGTHS,
            budget_s=scaling.BUDGET_S,
            most_late=scaling.MOST_LATE,
        )
        for sessions, *replicas in rows_of("sessions"):
            assert replicas == [needed(sessions, service=service) for service in self.SERVICES]

    def test_the_table_of_films_is_the_models(self) -> None:
        for minutes, *replicas in rows_of("film-minutes a day"):
            needed = [replicas_for_films(minutes, 3.0, 0.7, service, scaling.LENGTHS) for service in self.SERVICES]
            assert replicas == needed


def rows_of(head: str) -> list[list[int]]:
    """Return the numbers of the table of the doc whose first column is `head`."""
    table = DOC[DOC.index(f"| {head} |") :].split("\n\n")[0].splitlines()[2:]
    assert table
    return [[int(cell.replace(",", "")) for cell in re.findall(r"[\d,]+", line)] for line in table]


class TestTheory:
    """Single sentences that come at random to one replica, which has a line of its own."""

    def outcome(self, face: Service, load: float, lengths: Lengths = EXPONENTIAL) -> Outcome:
        per_s = load * face.full_speed_lanes / face.work_s(lengths.mean_s)
        return simulate(Scenario(AT_ONCE, face, lengths, turns_per_s=per_s, sentences_per_turn=1), 1, 30_000)

    def test_lanes_with_exponential_work_are_erlangs(self) -> None:
        face = Service(1, 6.0, lanes=4, full_speed_lanes=4, max_waiting=10**6)
        outcome = self.outcome(face, 0.6)
        assert outcome.utilisation == pytest.approx(0.6, rel=0.02)
        assert outcome.late_share(0.0) == pytest.approx(erlang_c(4, 2.4), rel=0.05)
        assert outcome.late_share(0.3) == pytest.approx(late_share(face, 2.4, EXPONENTIAL, 0.3), rel=0.05)

    @pytest.mark.parametrize("cv", [0.3, 1.0])
    def test_a_shared_gpu_takes_as_long_whatever_the_lengths(self, cv: float) -> None:
        clock, random, lengths = Clock(), Random(1), Lengths(cv=cv)
        pool = Pool(clock, Service(1, 6.0, lanes=10**6))
        tasks: list[Task] = []

        def arrive() -> None:
            task = Task(0.0, pool.service.work_s(lengths.draw(random)), 0, lambda: None, clock.now_s)
            tasks.append(task)
            pool.ask(task)
            if len(tasks) < 10_000:
                clock.after(random.expovariate(0.5), arrive)

        arrive()
        clock.run()
        assert mean(task.ended_s - task.asked_s for task in tasks) == pytest.approx(1 / (1 - 0.5), rel=0.05)

    def test_the_same_seed_is_the_same_world(self) -> None:
        face = Service(2, 6.0)
        scenario = Scenario(AT_ONCE, face, Lengths(), turns_per_s=0.2, films_per_s=0.05, deaths=Deaths(60, 10))
        one, same, other = (simulate(scenario, seed, 2_000) for seed in (1, 1, 2))
        assert one == same != other


class TestWalk:
    def film(self, lengths_s: list[float], face: Service, speech: Service = AT_ONCE) -> tuple[Clock, Pool, Film]:
        clock = Clock()
        pool = Pool(clock, face)
        return clock, pool, Film(clock, Pool(clock, speech), pool, lengths_s, pace_of_jobs(face), lambda _: None)

    def test_speech_comes_first_and_segments_are_shared_out(self) -> None:
        clock, _, film = self.film([6.0] * 6, Service(3, 6.0), Service(1, 12.0, lanes=8, full_speed_lanes=8))
        film.go_on()
        clock.run()
        assert [task.began_s for task in film.rendered] == pytest.approx([0.5, 0.5, 0.5, 1.5, 1.5, 1.5])
        assert clock.now_s == pytest.approx(2.5)

    def test_a_long_sentence_holds_up_those_behind_it(self) -> None:
        clock, _, film = self.film([60.0] + [0.6] * 20, Service(2, 6.0))
        film.go_on()
        clock.run()
        # Three of a film for each replica: those of the other one are ready at once, and nothing is asked of it then.
        assert [film.rendered[number].ended_s for number in (1, 3, 5)] == pytest.approx([0.1, 0.2, 0.3], abs=1e-3)
        assert film.rendered[6].asked_s == pytest.approx(10.0)

    def test_a_full_service_is_asked_again(self) -> None:
        clock = Clock()
        pool = Pool(clock, Service(1, 1.0, max_waiting=1))
        tasks = [Task(1.5, 1.5, 0, lambda: None, 0.0) for _ in range(3)]
        for task in tasks:
            pool.ask(task)
        clock.run()
        assert [task.ended_s for task in tasks] == pytest.approx([1.5, 3.0, 4.5])

    def test_what_a_dead_replica_had_another_one_does(self) -> None:
        clock, pool, film = self.film([6.0] * 2, Service(2, 6.0))
        film.go_on()

        def die() -> None:
            for task in pool.replicas[0].die():
                clock.after(6.0, partial(pool.ask, task))

        clock.after(0.5, die)
        clock.run()
        assert sorted(task.ended_s for task in film.rendered) == pytest.approx([1.0, 7.5])

    def test_interactive_jobs_go_first(self) -> None:
        face = Service(1, 6.0)
        scenario = Scenario(AT_ONCE, face, Lengths(), films_per_s=0.035, films_at_once=1, interactive_share=0.2)
        films_s = simulate(scenario, 1, 10_000).films_s
        assert mean(films_s["interactive"]) < 0.7 * mean(films_s["batch"])
