"""Whatever runners, jobs, faults of the network and time do: what must hold, holds."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from itertools import count

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sandbox.github.directory import Directory
from sandbox.github.model import JobConclusion, JobRequest, Label
from sandbox.github.registrations import NameTakenError, RunnerBusyError, SessionRefusedError
from sandbox.github.state import NotItsJobError, SessionOpenError, State

REFUSALS = (
    KeyError,
    NameTakenError,
    NotItsJobError,
    RunnerBusyError,
    SessionOpenError,
    SessionRefusedError,
)
NUMBERS = st.integers(1, 6)
LABELS = st.sets(st.sampled_from(["a", "b", "B"]), max_size=2).map(tuple)
REPOSITORIES = st.sampled_from(["acme/demo", "acme/other", "elsewhere/demo"])
LIMIT = timedelta(seconds=30)


class GitHub(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        tokens = count(1)
        self.state = State(Directory(), lambda: f"t{next(tokens)}")
        self.now = datetime(2026, 1, 1, tzinfo=timezone.utc)
        self.ended: dict[int, object] = {}
        self.begun_by: dict[int, int] = {}

    @rule(
        number=NUMBERS, labels=LABELS, repository=st.none() | REPOSITORIES, ephemeral=st.booleans()
    )
    def register(
        self, number: int, labels: tuple[str, ...], repository: str | None, ephemeral: bool
    ) -> None:
        directory = self.state.directory
        scope = (
            directory.add_repository(repository)
            if repository
            else directory.add_organization("acme")
        )
        with suppress(*REFUSALS):
            given = tuple(Label(label) for label in labels)
            self.state.register(scope, f"r{number}", given, self.now, ephemeral=ephemeral)

    @rule(labels=LABELS, repository=REPOSITORIES)
    def queue(self, labels: tuple[str, ...], repository: str) -> None:
        self.state.queue(JobRequest("true", repository, labels=labels), self.now)

    @rule(number=NUMBERS)
    def delete(self, number: int) -> None:
        with suppress(*REFUSALS):
            self.state.delete_runner(number)

    @rule(number=NUMBERS, other=NUMBERS)
    def rename(self, number: int, other: int) -> None:
        with suppress(*REFUSALS):
            self.state.rename(number, f"r{other}")

    @rule(number=NUMBERS)
    def go_online_without_a_program(self, number: int) -> None:
        with suppress(*REFUSALS):
            self.state.go_online(number)

    @rule(number=NUMBERS)
    def go_offline(self, number: int) -> None:
        with suppress(*REFUSALS):
            self.state.go_offline(number, self.now)

    @rule(number=NUMBERS, session=st.sampled_from([None, "x", "y"]))
    def open_session(self, number: int, session: str | None) -> None:
        with suppress(*REFUSALS):
            self.state.open_session(f"t{number}", self.now, session=session)

    @rule(number=NUMBERS)
    def close_session(self, number: int) -> None:
        with suppress(*REFUSALS):
            self.state.close_session(f"t{number}", self.now)

    @rule(number=NUMBERS)
    def hand_out(self, number: int) -> None:
        runner = self.state.runner(number)
        job = self.state.hand_out(number, self.now)
        if job is not None:
            assert runner is not None
            assert runner.online
            assert job.status == "queued"
            assert {label.casefold() for label in job.labels} <= runner.label_names
            assert job.repository.split("/")[0] == runner.scope.name.split("/")[0]
        elif runner is not None and runner.online and not runner.busy:
            waiting = [job for job in self.state.jobs() if job.waits_for_a_runner]
            assert not any(self.state._suits(runner, job) for job in waiting)

    @rule(number=NUMBERS, job_id=NUMBERS)
    def start(self, number: int, job_id: int) -> None:
        with suppress(*REFUSALS):
            self.state.start_job(f"t{number}", job_id, self.now)
            assert self.begun_by.setdefault(job_id, number) == number, "two runners began one job"

    @rule(number=NUMBERS, job_id=NUMBERS, how=st.sampled_from(["success", "failure"]))
    def complete(self, number: int, job_id: int, how: JobConclusion) -> None:
        with suppress(*REFUSALS):
            self.state.complete_job(f"t{number}", job_id, how, "", self.now)

    @rule(job_id=NUMBERS)
    def cancel(self, job_id: int) -> None:
        with suppress(*REFUSALS):
            self.state.cancel_job(job_id, self.now)

    @rule(seconds=st.sampled_from([1, 20, 40]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)
        self.state.expire(self.now, LIMIT)

    @invariant()
    def names_are_unique(self) -> None:
        names = Counter((r.scope, r.name) for r in self.state.runners())
        assert all(times == 1 for times in names.values())

    @invariant()
    def runners_and_jobs_agree_on_who_has_what(self) -> None:
        held = {r.id: r.job_id for r in self.state.runners() if r.busy}
        given = {
            job.runner_id: job.id
            for job in self.state.jobs()
            if job.runner_id is not None and job.status != "completed"
        }
        assert held == given
        assert len(set(held.values())) == len(held)

    @invariant()
    def only_online_runners_are_busy(self) -> None:
        assert all(runner.online for runner in self.state.runners() if runner.busy)

    @invariant()
    def a_job_that_ended_never_changes(self) -> None:
        for job in self.state.jobs():
            if job.status == "completed":
                assert self.ended.setdefault(job.id, job) == job
                assert job.conclusion is not None
            else:
                assert job.conclusion is None

    @invariant()
    def a_job_begins_at_most_once(self) -> None:
        for job in self.state.jobs():
            if job.status == "in_progress":
                assert job.started_at is not None
                assert job.runner_id is not None

    @invariant()
    def a_runner_can_be_found_by_name_and_by_token(self) -> None:
        for runner in self.state.runners():
            assert self.state.by_token(runner.token) == runner
            assert self.state.runner_named(runner.scope, runner.name.upper()) == runner


GitHub.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestGitHub = GitHub.TestCase
