"""Which places are empty, and for how long."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from metrics_page import runner

from supervisor.lifecycle import Stage
from supervisor.metrics.vacancies import Vacancies

NOTHING = (False, None)


def take(vacancies: Vacancies, *told: tuple[str, str, float]) -> list[tuple[bool, float | None]]:
    came = [vacancies.take(runner(now, before), at) for now, before, at in told]
    return [(one.replaces, one.after_s) for one in came]


def test_the_first_runners_replace_nobody() -> None:
    begun = take(Vacancies(), ("requested", "", 0), ("creating", "requested", 1))
    assert begun == [NOTHING, NOTHING]


def test_a_runner_that_comes_after_the_end_of_another_replaces_it_once() -> None:
    told = take(Vacancies(), ("finished", "busy", 0), ("requested", "", 1), ("requested", "", 2))
    assert told == [NOTHING, (True, None), NOTHING]


def test_a_runner_that_was_taken_over_replaces_nobody() -> None:
    vacancies = Vacancies()
    take(vacancies, ("failed", "booting", 0))
    assert not vacancies.take(runner("booting", adopted=True), 1).replaces


def test_the_time_is_from_the_end_of_a_job_to_the_next_that_can_take_one() -> None:
    told = take(
        Vacancies(),
        ("finished", "busy", 0), ("finished", "busy", 10), ("deleted", "finished", 11),
        ("ready", "booting", 30), ("idle", "ready", 31), ("busy", "booting", 50),
        ("ready", "booting", 60),
    )  # fmt: skip
    assert [after_s for _, after_s in told] == [None, None, None, 30, None, None, None]


def test_a_runner_whose_job_was_none_after_all_fills_no_place() -> None:
    told = take(Vacancies(), ("finished", "busy", 0), ("idle", "busy", 5), ("idle", "retiring", 6))
    assert [after_s for _, after_s in told] == [None, None, None]


def test_what_was_left_before_a_full_fleet_was_seen_is_forgotten() -> None:
    vacancies = Vacancies()
    take(vacancies, ("finished", "busy", 0), ("finished", "busy", 9))
    vacancies.fill(10, 2)
    told = take(vacancies, ("ready", "booting", 20), ("ready", "booting", 21))
    assert [after_s for _, after_s in told] == [11, None]


STAGES = st.sampled_from(["", *map(str, Stage)])


@given(st.lists(st.tuples(STAGES, STAGES, st.integers(0, 100)), max_size=60))
def test_no_more_is_filled_than_was_left_and_no_time_is_negative(
    told: list[tuple[str, str, int]],
) -> None:
    came = take(Vacancies(), *told)
    ends = [one for one in told if one[0] in {"finished", "failed", "deleted"}]
    assert sum(replaces for replaces, _ in came) <= len(ends)
    times = [after_s for _, after_s in came if after_s is not None]
    assert len(times) <= sum(one[1] == "busy" for one in ends)
    assert all(after_s >= 0 for after_s in times)
