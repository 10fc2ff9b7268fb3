"""Lives of runners and what happens to them: chosen by hand, and drawn by hypothesis."""

from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from hypothesis import strategies as st

from supervisor.lifecycle import (
    Confirmed,
    DeletionOrdered,
    Effect,
    Event,
    Failed,
    FoundStopped,
    GuestFinished,
    GuestReady,
    InstanceCreated,
    InstanceGone,
    InstanceStarted,
    InstanceStopped,
    Job,
    JobFinished,
    JobLost,
    JobRefused,
    JobStarted,
    JobUnchecked,
    Life,
    LimitPassed,
    NoJobBegun,
    Registered,
    RegistrationFound,
    RegistrationVanished,
    RemovalFailed,
    Stage,
    StartFailed,
    Unregistered,
    UnregistrationRefused,
    WentOffline,
    request,
    step,
)

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
JOB = Job("acme/web", "build", "7", "push", "test")

events = st.one_of(
    st.builds(Registered, st.integers(1, 9)),
    st.just(InstanceCreated()),
    st.just(InstanceStarted()),
    st.just(GuestReady()),
    st.builds(JobStarted, st.just(JOB)),
    st.just(JobFinished()),
    st.builds(JobRefused, st.sampled_from(["one", "other"])),
    st.builds(JobUnchecked),
    st.builds(GuestFinished, st.sampled_from(["", "0", "7"]), st.sampled_from(["", "Failed"])),
    st.builds(Confirmed, st.booleans()),
    st.builds(RegistrationFound, st.integers(1, 9)),
    st.just(RegistrationVanished()),
    st.builds(WentOffline, st.just("offline")),
    st.just(InstanceStopped()),
    st.just(FoundStopped()),
    st.just(InstanceGone()),
    st.builds(RemovalFailed, st.just("disk on fire")),
    st.just(Unregistered()),
    st.builds(UnregistrationRefused, st.booleans(), st.just("no"), st.booleans()),
    st.just(NoJobBegun()),
    st.builds(Failed, st.just("broken")),
    st.builds(StartFailed, st.just("late"), st.booleans()),
    st.builds(JobLost, st.booleans()),
    st.builds(LimitPassed, st.sampled_from(Stage)),
    st.builds(DeletionOrdered, st.just("not wanted"), st.booleans(), st.booleans()),
)
lives = st.builds(
    Life,
    st.sampled_from(Stage),
    st.just(NOW),
    st.sampled_from(["", "some reason"]),
    st.none() | st.integers(1, 9),
    st.none() | st.just(JOB),
    st.integers(0, 3),
    ordered_away=st.sampled_from(["", "flushed by order"]),
)


def life(stage: Stage, **given: object) -> Life:
    return replace(Life(stage, NOW, runner_id=5), **given)


def live_through(*happened: Event) -> tuple[Life, list[Effect]]:
    current = request(NOW)
    effects = list(current.effects)
    for event in happened:
        current = step(current.life, event, NOW)
        effects += current.effects
    return current.life, effects


def living(stage: Stage, **more: Any) -> Life:
    return replace(Life(stage, NOW, runner_id=7), **more)
