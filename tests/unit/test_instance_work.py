from __future__ import annotations

from collections.abc import Callable

import pytest
from fake_world import FakeLxd

from supervisor import lifecycle
from supervisor.gateways.lxd import AlreadyExists, LxdError, LxdUnavailable, NotFound, TimedOut
from supervisor.instance_work import InstanceWork, Looked, LookFailed, Recorded
from supervisor.lifecycle import Limits
from supervisor.messages import Happened

NAME = "fleet-aaaaaaaa"
REFUSALS = [LxdError("x"), AlreadyExists("x")]
SILENCES = [LxdUnavailable("x"), TimedOut("x")]


@pytest.fixture
def lxd() -> FakeLxd:
    return FakeLxd()


@pytest.fixture
def work(lxd: FakeLxd) -> InstanceWork:
    return InstanceWork(lxd, NAME, Limits())  # type: ignore[arg-type]


def test_an_instance_is_made_started_marked_and_removed(lxd: FakeLxd, work: InstanceWork) -> None:
    assert work.look() == Looked(None)
    made = work.create({"name": NAME, "config": {"user.supervisor.generation": "g"}})
    assert made == Happened(lifecycle.InstanceCreated())
    assert work.start() == Happened(lifecycle.InstanceStarted())
    assert work.record({"user.supervisor.stage": "ready"}) == Recorded()
    looked = work.look()
    assert isinstance(looked, Looked)
    assert looked.marks
    assert (looked.marks.seen.stage, looked.marks.generation) == ("ready", "g")
    assert work.remove() == Happened(lifecycle.InstanceGone())
    assert work.remove() == Happened(lifecycle.InstanceGone())
    assert lxd.there == {}


@pytest.mark.parametrize("error", [*REFUSALS, *SILENCES])
@pytest.mark.parametrize(
    ("call", "act", "outcome"),
    [
        ("create", lambda w: w.create({"name": NAME}), Happened(lifecycle.Failed("x"))),
        ("delete", lambda w: w.remove(), Happened(lifecycle.RemovalFailed("x"))),
        ("instance", lambda w: w.look(), LookFailed("x")),
        ("update_config", lambda w: w.record({}), Recorded("x")),
    ],
)
def test_what_lxd_refuses_comes_back_as_what_happened(
    lxd: FakeLxd,
    work: InstanceWork,
    call: str,
    act: Callable[[InstanceWork], object],
    outcome: object,
    error: LxdError,
) -> None:
    lxd.fail(call, error)
    assert act(work) == outcome


@pytest.mark.parametrize(
    ("error", "certain"), [(e, True) for e in REFUSALS] + [(e, False) for e in SILENCES]
)
def test_where_lxd_says_nothing_an_instance_may_have_been_started(
    lxd: FakeLxd, work: InstanceWork, error: LxdError, certain: bool
) -> None:
    lxd.fail("start", error)
    assert work.start() == Happened(lifecycle.StartFailed("x", certain=certain))


def test_marking_what_has_ended_meanwhile_is_no_error(lxd: FakeLxd, work: InstanceWork) -> None:
    lxd.fail("update_config", NotFound("gone"))
    assert work.record({}) == Recorded()


def test_a_fault_of_ours_is_not_hidden(lxd: FakeLxd, work: InstanceWork) -> None:
    lxd.fail("start", ValueError("a bug"))
    with pytest.raises(ValueError, match="a bug"):
        work.start()
