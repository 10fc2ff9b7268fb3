from __future__ import annotations

from datetime import datetime, timedelta, timezone
from itertools import count
from typing import Any

import pytest

from sandbox.github.directory import Directory
from sandbox.github.model import JobRequest, Label, Runner
from sandbox.github.registrations import NameTakenError, RunnerBusyError, SessionRefusedError
from sandbox.github.state import NotItsJobError, SessionOpenError, State

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
LATER = NOW + timedelta(minutes=1)
LIMIT = timedelta(seconds=30)
JOB = JobRequest("true", "acme/demo", labels=("a",))


@pytest.fixture
def state() -> State:
    numbers = count(1)
    made = State(Directory(), lambda: f"t{next(numbers)}")
    made.directory.add_organization("acme")
    return made


def register(state: State, name: str = "one", *labels: str, ephemeral: bool = True) -> Runner:
    scope = state.directory.add_organization("acme")
    given = tuple(Label(label) for label in labels or ("a",))
    return state.register(scope, name, given, NOW, ephemeral=ephemeral)


def with_job(state: State, *, started: bool, ephemeral: bool = True) -> Runner:
    runner = register(state, ephemeral=ephemeral)
    state.open_session(runner.token, NOW)
    job = state.queue(JOB, NOW)
    assert state.hand_out(runner.id, NOW) is not None
    if started:
        state.start_job(runner.token, job.id, NOW)
    return runner


def test_names_are_unique_within_a_scope_without_regard_to_case(state: State) -> None:
    register(state, "One")
    with pytest.raises(NameTakenError):
        register(state, "oNE")
    repository = state.directory.add_repository("acme/demo")
    assert state.register(repository, "one", (), NOW).name == "one"


def test_a_deleted_runners_name_is_free_again(state: State) -> None:
    runner = register(state)
    state.delete_runner(runner.id)
    assert register(state).id != runner.id


def test_a_busy_runner_stays(state: State) -> None:
    runner = with_job(state, started=False)
    with pytest.raises(RunnerBusyError):
        state.delete_runner(runner.id)


def test_an_offline_runner_gets_no_job(state: State) -> None:
    runner = register(state)
    state.queue(JOB, NOW)
    assert state.hand_out(runner.id, NOW) is None
    assert state.hand_out(77, NOW) is None


def test_the_oldest_job_goes_first_even_if_it_came_back(state: State) -> None:
    runner = register(state, "one")
    state.open_session(runner.token, NOW)
    jobs = [state.queue(JOB, NOW) for _ in range(3)]
    assert state.hand_out(runner.id, NOW) is not None
    state.close_session(runner.token, NOW)
    taken = []
    for number in range(3):
        other = register(state, f"other-{number}")
        state.open_session(other.token, NOW)
        job = state.hand_out(other.id, NOW)
        assert job is not None
        taken.append(job.id)
    assert taken == [job.id for job in jobs]


def test_a_job_that_had_not_begun_comes_back(state: State) -> None:
    runner = with_job(state, started=False)
    assert [lost.id for lost in state.expire(LATER, LIMIT)] == [runner.id]
    job = state.job(1)
    assert job is not None
    assert (job.status, job.runner_id, job.requeues) == ("queued", None, 1)
    assert job.lost_by == (runner.name,)
    left = state.runner(runner.id)
    assert left is not None
    assert (left.online, left.busy) == (False, False)


def test_a_job_that_had_begun_fails_and_takes_the_registration_along(state: State) -> None:
    runner = with_job(state, started=True)
    state.expire(LATER, LIMIT)
    job = state.job(1)
    assert job is not None
    assert (job.status, job.conclusion, job.completed_at) == ("completed", "failure", LATER)
    assert job.lost_by == (runner.name,)
    assert state.runner(runner.id) is None


def test_a_lasting_runner_outlives_its_job(state: State) -> None:
    runner = with_job(state, started=True, ephemeral=False)
    state.complete_job(runner.token, 1, "success", "log", NOW)
    state.queue(JOB, NOW)
    job = state.hand_out(runner.id, NOW)
    assert job is not None
    assert job.id == 2


def test_a_lasting_runner_may_have_many_sessions(state: State) -> None:
    runner = register(state, ephemeral=False)
    for _ in range(2):
        state.open_session(runner.token, NOW)
        state.close_session(runner.token, NOW)
    assert not next(state.runners()).online


def test_who_waits_or_was_heard_of_is_not_lost(state: State) -> None:
    waiting, heard, silent = (register(state, name) for name in ("a", "b", "c"))
    for runner in (waiting, heard, silent):
        state.open_session(runner.token, NOW)
    state.in_session(heard.token, LATER)
    lost = state.expire(LATER, LIMIT, {waiting.id})
    assert [runner.id for runner in lost] == [silent.id]


def test_silence_of_exactly_the_limit_is_borne(state: State) -> None:
    runner = register(state)
    state.open_session(runner.token, NOW)
    assert state.expire(NOW + LIMIT, LIMIT) == []


def test_sessions_are_refused_with_the_reason(state: State) -> None:
    runner = register(state)
    with pytest.raises(SessionRefusedError):
        state.in_session(runner.token, NOW)
    state.open_session(runner.token, NOW)
    with pytest.raises(SessionOpenError):
        state.open_session(runner.token, NOW)
    with pytest.raises(SessionRefusedError):
        state.open_session("unknown", NOW)


def test_reports_on_other_jobs_are_refused(state: State) -> None:
    runner = with_job(state, started=False)
    with pytest.raises(NotItsJobError):
        state.start_job(runner.token, 2, NOW)


def test_starting_twice_keeps_the_first_time(state: State) -> None:
    runner = with_job(state, started=True)
    assert state.start_job(runner.token, 1, LATER).started_at == NOW


def test_a_waiting_job_can_be_cancelled_and_a_running_one_cannot(state: State) -> None:
    with_job(state, started=True)
    waiting = state.queue(JOB, NOW)
    assert state.cancel_job(waiting.id, NOW).conclusion == "cancelled"
    assert state.cancel_job(1, NOW).status == "in_progress"
    assert state.cancel_job(waiting.id, LATER).completed_at == NOW


def test_a_selected_groups_runners_serve_only_its_repositories(state: State) -> None:
    acme = state.directory.add_organization("acme")
    group = state.directory.add_group(
        acme, "chosen", visibility="selected", selected=["Acme/Other"]
    )
    runner = state.register(acme, "one", (Label("a"),), NOW, group_id=group.id)
    state.open_session(runner.token, NOW)
    state.queue(JOB, NOW)
    assert state.hand_out(runner.id, NOW) is None
    state.queue(JobRequest("true", "acme/other", labels=("A",)), NOW)
    job = state.hand_out(runner.id, NOW)
    assert job is not None
    assert job.repository == "acme/other"


@pytest.mark.parametrize("repository", ["demo", "a/b/c", "acme/", "acme/x\ny", ""])
def test_a_job_needs_a_repository_with_its_owner(repository: str) -> None:
    with pytest.raises(ValueError, match="owner/name"):
        JobRequest("true", repository)


@pytest.mark.parametrize("field", ["workflow", "name", "event", "sha"])
def test_a_jobs_fields_are_single_lines(field: str) -> None:
    fields: dict[str, Any] = {field: "a\nid=7"}
    with pytest.raises(ValueError, match=field):
        JobRequest("true", "acme/demo", **fields)
