from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.e2e.chaos.deeds import DEEDS, LANES
from tests.e2e.chaos.schedule import CORE, ROOT, schedule

SEEDS = st.integers(min_value=0, max_value=1_000_000)
LONG_S = 600.0
ENDS = {
    "kill_daemon": "start_daemon",
    "stop_daemon": "start_daemon",
    "pause_daemon": "resume_daemon",
    "drain_fleet": "resume_fleet",
    "kill_lxd": "start_lxd",
    "pause_lxd": "resume_lxd",
    "hold_connections": "release_connections",
    "break_github": "mend_github",
}
LONGEST_TROUBLE_S = 8.0


@given(SEEDS)
def test_the_same_seed_gives_the_same_deeds(seed: int) -> None:
    assert schedule(seed, 60) == schedule(seed, 60)


@given(SEEDS)
def test_a_longer_run_begins_like_a_shorter_one(seed: int) -> None:
    short = schedule(seed, 30)
    assert schedule(seed, 90)[: len(short)] == short


@given(SEEDS)
def test_deeds_come_in_the_order_of_their_times_and_within_the_run(seed: int) -> None:
    times = [deed.at_s for deed in schedule(seed, 60)]
    assert times == sorted(times)
    assert all(0 <= at_s < 60 for at_s in times)


@given(SEEDS)
def test_every_trouble_ends_soon(seed: int) -> None:
    deeds = schedule(seed, LONG_S)
    for deed in deeds:
        if deed.name not in ENDS or deed.at_s + LONGEST_TROUBLE_S > LONG_S:
            continue
        assert any(
            deed.at_s < end.at_s <= deed.at_s + LONGEST_TROUBLE_S
            for end in deeds
            if end.name == ENDS[deed.name]
            and end.arguments.get("number") == deed.arguments.get("number")
        ), deed


@given(seed=SEEDS)
@pytest.mark.parametrize(("actors", "intensity"), [(CORE, 10), (ROOT, 3)])
def test_actors_crash_more_seldom_than_their_supervisor_gives_up(
    seed: int, actors: tuple[str, ...], intensity: int
) -> None:
    crashes = [
        deed.at_s
        for deed in schedule(seed, LONG_S)
        if deed.name == "crash_actor" and deed.arguments["name"] in actors
    ]
    most = max(
        (sum(at_s <= other <= at_s + 60 for other in crashes) for at_s in crashes), default=0
    )
    assert most <= intensity


@given(SEEDS)
def test_force_is_rare(seed: int) -> None:
    """Whoever is flushed by force may lose a job, and can't tell of another fault any more."""
    forced = [deed.at_s for deed in schedule(seed, LONG_S) if deed.name == "flush_by_force"]
    assert all(later - former >= 30 for former, later in pairwise(forced))


def test_in_some_minutes_everything_happens_that_can() -> None:
    deeds = [deed for seed in range(10) for deed in schedule(seed, 120)]
    assert {deed.name for deed in deeds} == DEEDS.keys()
    crashed = {deed.arguments["name"] for deed in deeds if deed.name == "crash_actor"}
    assert crashed == {*CORE, *ROOT}


@pytest.mark.parametrize("name", DEEDS)
def test_each_deed_has_its_lane(name: str) -> None:
    assert DEEDS[name][0] in LANES
