"""Fleets and what is listed of them: chosen by hand, and drawn by hypothesis."""

from datetime import datetime, timedelta, timezone

from hypothesis import strategies as st

from supervisor.lifecycle import Stage
from supervisor.planning import Desired, Listing, Plan, Registration, Runner, Suspicion, reconcile
from supervisor.runners.naming import runner_name

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
LONG_AGO = NOW - timedelta(hours=1)

numbers = st.integers(0, 12)
names = numbers.map(lambda n: runner_name("fleet", f"{n:010d}"))
strangers = st.sampled_from(
    [
        runner_name("other", "0000000001"),
        runner_name("fleet-2", "0000000001"),
        "fleet",
        "fleet-00000001",
        "fleet-buildserver1",
    ]
)
places = st.sampled_from(["", "https://github.com/acme"])
listed_places = st.frozensets(places)
keys = st.tuples(places, st.integers(1, 50))
runners = st.lists(
    st.builds(
        Runner,
        names,
        st.sampled_from(Stage),
        st.sampled_from(["old", "new"]),
        st.sampled_from([LONG_AGO, NOW]),
        st.integers(0, 1),
        st.none() | st.integers(1, 50),
        place=places,
        has_job=st.booleans(),
    ),
    unique_by=(lambda r: r.name, lambda r: (r.place, r.runner_id or r.name)),
    max_size=12,
)
registrations = st.lists(
    st.builds(
        Registration,
        st.integers(1, 50),
        names | strangers,
        st.booleans(),
        st.booleans(),
        st.booleans(),
        places,
    ),
    unique_by=(lambda r: r.key, lambda r: (r.place, r.name)),
    max_size=12,
)
desired = st.builds(
    Desired,
    st.just("fleet"),
    st.integers(0, 8),
    st.just("new"),
    st.integers(1, 8),
    st.none() | st.just(timedelta(minutes=30)),
)
listings = st.builds(
    Listing,
    running=st.frozensets(names, max_size=12),
    registrations=registrations.map(tuple),
    stopped=st.frozensets(names, max_size=12),
    places=listed_places,
)


def runner(name: str, stage: Stage, generation: str = "new", since: datetime = LONG_AGO) -> Runner:
    return Runner(named(name), stage, generation, since)


def named(name: str) -> str:
    return runner_name("fleet", f"{name:0>10}")


def wanted(count: int) -> Desired:
    return Desired("fleet", count, "new")


def look_again(
    listed: tuple[Registration, ...], *fleet: Runner, times: int = 2, apart: timedelta = timedelta()
) -> list[Plan]:
    """Reconcile again and again, each time with the suspicion of the time before."""
    plans: list[Plan] = []
    suspicion = Suspicion()
    listing = Listing(frozenset(r.name for r in fleet), listed)
    for number in range(times):
        now = NOW + number * apart
        plans.append(reconcile(wanted(len(fleet)), fleet, listing, suspicion, now))
        suspicion = plans[-1].suspicion
    return plans
