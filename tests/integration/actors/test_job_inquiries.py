"""How jobs have fared is asked of GitHub when it has time to spare, and never insisted on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
from fake_actors import Inbox
from fake_world import World
from journal_records import at, reconcile, step
from loguru import logger
from metric_logs import events_in
from prometheus_client import generate_latest
from waiting import LIMIT_S, eventually

from sandbox.github import Fault, Job, JobRequest, SandboxGitHub
from supervisor.actors.journal import JournalActor
from supervisor.actors.tokens import TokensActor
from supervisor.gateways import journal_reader
from supervisor.github import places
from supervisor.github.inquiries import PACE_S
from supervisor.journal import HistoryQuestion
from supervisor.lifecycle import Job as JobSaid
from supervisor.messages.configuration import ConfigChanged
from supervisor.messages.tokens import (
    InquireJob,
    ListRegistrations,
    RegistrationsListed,
    RequestJitConfig,
)
from supervisor.observation.feed import Kind, Record
from supervisor.supervision import ChildSpec

TOKEN = "made-up-secret-token"
NAME = "fleet-aaaaaaaa"
JOBS = "*/jobs"
LEFT = {
    "x-ratelimit-limit": "5000",
    "x-ratelimit-reset": "9999999999",
    "x-ratelimit-resource": "core",
}


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[SandboxGitHub]:
    tarball = tmp_path / "actions-runner-linux-x64-2.300.0.tar.gz"
    tarball.write_bytes(b"an application")
    with SandboxGitHub(org="acme", token=TOKEN, tarball=tarball) as server:
        yield server


class Stage:
    """The actor, the jobs that runners have had, and what the feed is told of them."""

    def __init__(self, world: World, sandbox: SandboxGitHub, *others: ChildSpec) -> None:
        self.world = world
        self.sandbox = sandbox
        self.fleet: list[Any] = []
        self.runner: list[Any] = []
        system = world.system
        world.run(
            ChildSpec("fleet", lambda: Inbox.start(system, self.fleet)),
            ChildSpec(NAME, lambda: Inbox.start(system, self.runner)),
            ChildSpec("tokens", partial(TokensActor.start, system, world.parts)),
            *others,
        )

    @property
    def here(self) -> str:
        return places.of(self.world.parts.settings.config)

    def work(self, runner: str, run_id: int | None = None) -> Job:
        """Have a runner begin and end a job."""
        job, end = self.begin(runner, run_id)
        end()
        return self.sandbox.job(job.id)

    def begin(self, runner: str, run_id: int | None = None) -> tuple[Job, Callable[[], None]]:
        """Have a runner begin a job; return that, and what ends it."""
        made = self.sandbox.add_runner("acme", runner, ephemeral=True, online=True)
        self.sandbox.queue(JobRequest("true", "acme/demo", run_id=run_id))
        job = self.sandbox.hand_out(made.id)
        assert job is not None

        def tell(path: str, body: str) -> None:
            url = f"{self.sandbox.url}/_runner/job/{job.id}/{path}"
            headers = {"Authorization": f"Bearer {made.token}"}
            requests.post(url, body, headers=headers, timeout=20).raise_for_status()

        tell("started", "")
        return self.sandbox.job(job.id), partial(tell, "completed", "result=success\n")

    def inquire(self, runner: str, job: Job, *, has_result: bool = True, **other: str) -> None:
        said = {"repository": job.repository, "run_id": str(job.run_id), "place": self.here}
        self.world.tell("tokens", InquireJob(runner, **{**said, **other}, has_result=has_result))

    def told(self) -> list[Record]:
        return [record for record in tuple(self.world.told) if record.kind is Kind.JOB]

    def asked(self) -> int:
        """Count the questions about jobs."""
        return sum(call.path.endswith("/jobs") for call in self.sandbox.calls())

    def passes(self, seconds: float) -> None:
        """Let so much time pass, and see what is done then to its end."""
        for _ in range(20):
            self.world.clock.advance(seconds / 20)
            self.rests()

    def rests(self) -> None:
        self.world.tell("tokens", ListRegistrations(1))
        self.pass_until(self._listed)

    def _listed(self) -> bool:
        found = [one for one in tuple(self.fleet) if isinstance(one, RegistrationsListed)]
        for one in found:
            self.fleet.remove(one)
        return bool(found)

    def pass_until(self, holds: Callable[[], object]) -> None:
        def later() -> object:
            self.world.clock.advance(0.05)
            return holds()

        eventually(lambda: holds() or later())


@pytest.fixture
def log() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lines.append, level="INFO")
    yield lines
    logger.remove(sink)


@pytest.fixture
def stage(make_world: Callable[..., World], sandbox: SandboxGitHub) -> Stage:
    return Stage(make_world(github_url=sandbox.url, token=TOKEN), sandbox)


def test_how_long_a_job_had_waited_is_told_as_github_knows_it(stage: Stage) -> None:
    job = stage.work("a")
    assert job.started_at is not None
    stage.inquire("a", job)
    stage.pass_until(stage.told)
    (record,) = stage.told()
    assert (record.subject, record.state) == ("a", "success")
    details = record.details
    assert (details["repository"], details["run_id"]) == ("acme/demo", job.run_id)
    waited_s = (job.started_at - job.queued_at).total_seconds()
    assert details["queue_s"] == pytest.approx(waited_s, abs=1.0)
    assert details["queued_at"] == job.queued_at.replace(microsecond=0).isoformat()


def test_of_a_run_of_many_jobs_a_page_after_the_other_is_read(stage: Stage) -> None:
    for _ in range(150):
        stage.sandbox.queue(JobRequest("true", "acme/demo", ("nobody",), run_id=42))
    stage.inquire("a", stage.work("a", run_id=42))
    stage.pass_until(stage.told)
    assert stage.asked() == 2


def test_one_question_serves_all_runners_that_had_a_job_of_the_run(stage: Stage) -> None:
    jobs = {runner: stage.work(runner, run_id=42) for runner in ("a", "b", "c", "d")}
    slow = stage.sandbox.faults.add(Fault(method="GET", path_pattern="*/runners", delay_s=0.3))
    stage.world.tell("tokens", ListRegistrations(1))
    eventually(lambda: stage.sandbox.faults.hits(slow))
    for runner, job in jobs.items():
        stage.inquire(runner, job)
    stage.pass_until(lambda: len(stage.told()) == 4)
    assert stage.asked() == 2  # the first one went for itself, as nobody else waited yet
    assert {record.subject for record in stage.told()} == jobs.keys()


def test_after_a_burst_one_question_comes_after_the_other_in_its_own_time(stage: Stage) -> None:
    jobs = {f"r{number}": stage.work(f"r{number}") for number in range(10)}
    for runner, job in jobs.items():
        stage.inquire(runner, job)
    stage.passes(4 * PACE_S)
    assert 3 <= stage.asked() <= 5
    stage.passes(6 * PACE_S)
    stage.pass_until(lambda: len(stage.told()) == 10)
    assert stage.asked() == 10
    # The first had nobody beside it; of the others those that came last.
    assert [record.subject for record in stage.told()][1:4] == ["r9", "r8", "r7"]


def test_a_repository_that_does_not_show_its_jobs_is_not_asked_for_an_hour(
    stage: Stage, log: list[str]
) -> None:
    job = stage.work("a")
    stage.sandbox.add_token("picky", permissions={"organization_self_hosted_runners": "write"})
    stage.world.reconfigure(github_url=stage.sandbox.url, token="picky")
    stage.world.tell("tokens", ConfigChanged(stage.world.parts.settings.config))
    for _ in range(3):
        stage.inquire("a", job)
        stage.passes(60)
    assert (stage.asked(), stage.told()) == (1, [])
    (line,) = [line for line in log if "is not asked for an hour" in line]
    assert "how long jobs of acme/demo have waited, and how those ended" in line
    assert "as GitHub answers 403" in line
    assert 'the permission "Actions: read"' in line
    assert stage.world.shown("tokens")[0] == "ready"
    stage.passes(3600)
    stage.inquire("a", job)
    stage.passes(60)
    assert stage.asked() == 2


def test_a_run_that_there_is_not_is_no_trouble_for_registrations(stage: Stage) -> None:
    stage.inquire("a", stage.work("a"), run_id="1")
    stage.passes(60)
    stage.world.tell("tokens", RequestJitConfig(NAME, ("x",), "default", stage.here))
    stage.pass_until(lambda: stage.runner)
    assert (stage.asked(), stage.told()) == (1, [])


def test_a_guest_that_makes_up_a_run_does_not_cost_the_others_of_the_repository(
    stage: Stage, log: list[str]
) -> None:
    honest = stage.work("honest")
    stage.inquire("honest", honest)
    stage.inquire("liar", honest, run_id="99999")
    stage.passes(60)
    assert [record.subject for record in stage.told()] == ["honest"]
    assert stage.asked() == 2
    assert not [line for line in log if "is not asked" in line]


def test_where_github_shows_no_run_at_all_the_repository_is_not_asked_for_an_hour(
    stage: Stage, log: list[str]
) -> None:
    job = stage.work("a")
    stage.sandbox.faults.add(Fault(path_pattern="*/jobs", status=404, times=None))
    for number in range(6):
        stage.inquire(f"r{number}", job, run_id=str(number + 1))
    stage.passes(60)
    (line,) = [line for line in log if "is not asked for an hour" in line]
    assert "as GitHub answers 404" in line
    assert stage.asked() == 3


@pytest.mark.parametrize("fault", [{"status": 502}, {"drop_connection": True}, {"body": "<html>"}])
def test_what_is_asked_in_vain_is_asked_once_more_and_no_oftener(
    stage: Stage, fault: dict[str, Any]
) -> None:
    failing = stage.sandbox.faults.add(
        Fault(method="GET", path_pattern=JOBS, times=None, **{"status": 200, **fault})
    )
    job = stage.work("a")
    stage.inquire("a", job)
    stage.passes(100)
    assert (stage.asked(), stage.told()) == (2, [])
    stage.sandbox.faults.remove(failing)
    stage.inquire("a", job)
    stage.pass_until(stage.told)


def test_a_job_that_github_shows_at_work_is_asked_about_again_and_told_once_it_has_ended(
    stage: Stage,
) -> None:
    job, end = stage.begin("a")
    stage.inquire("a", job)
    stage.passes(10)
    assert (stage.asked(), stage.told()) == (1, [])
    end()
    stage.passes(600)
    (record,) = stage.told()
    assert (stage.asked(), record.state) == (2, "success")


@pytest.mark.parametrize(("has_result", "questions"), [(True, 2), (False, 5)])
def test_a_job_that_github_never_shows_as_ended_is_told_with_what_is_known_in_the_end(
    stage: Stage, *, has_result: bool, questions: int
) -> None:
    job, _ = stage.begin("a")
    stage.inquire("a", job, has_result=has_result)
    stage.passes(900)
    (record,) = stage.told()
    assert (stage.asked(), record.state) == (questions, "")
    assert record.details["queue_s"] >= 0.0


def test_while_github_does_not_answer_it_is_asked_ever_more_seldom(stage: Stage) -> None:
    stage.sandbox.faults.add(Fault(method="GET", path_pattern=JOBS, status=502, times=None))
    for number in range(30):
        stage.inquire(f"r{number}", stage.work(f"r{number}"))
    stage.passes(590)
    assert stage.asked() == 5  # after 0, 20, 60, 140 and 300 seconds


def test_nothing_is_asked_once_half_of_the_hours_calls_are_used(stage: Stage) -> None:
    few = Fault(
        method="GET", path_pattern="*/runners", status=200, times=None,
        body='{"total_count": 0, "runners": []}', headers={**LEFT, "x-ratelimit-remaining": "2500"},
    )  # fmt: skip
    stage.sandbox.faults.add(few)
    stage.rests()
    stage.inquire("a", stage.work("a"))
    stage.passes(600)
    assert (stage.asked(), stage.told()) == (0, [])
    stage.sandbox.faults.remove(few)
    stage.passes(3600)
    assert stage.told()


def test_registrations_go_before_the_questions_that_wait(stage: Stage) -> None:
    slow = stage.sandbox.faults.add(Fault(method="GET", path_pattern="*/runners", delay_s=0.3))
    job = stage.work("a")
    stage.world.tell("tokens", ListRegistrations(1))
    eventually(lambda: stage.sandbox.faults.hits(slow))
    stage.inquire("a", job)
    stage.world.tell("tokens", RequestJitConfig(NAME, ("x",), "default", stage.here))
    stage.pass_until(stage.told)
    asked_for = [call.path.rpartition("/")[2] for call in stage.sandbox.calls()]
    assert [one for one in asked_for if one != "runners"] == ["generate-jitconfig", "jobs"]


def test_another_place_is_not_asked(stage: Stage) -> None:
    stage.inquire("a", stage.work("a"), place="https://elsewhere.example/acme")
    stage.passes(60)
    assert stage.asked() == 0


def test_repositories_of_others_are_not_asked_whatever_a_guest_says(stage: Stage) -> None:
    job = stage.work("a")
    for repository in ("victim/secrets", "acme/../victim", "acme/demo/../../x"):
        stage.inquire("a", job, repository=repository)
    stage.passes(60)
    assert stage.asked() == 0


def test_how_a_job_ended_that_nobody_saw_is_told_once_wherever_jobs_are(
    make_world: Callable[..., World], sandbox: SandboxGitHub, tmp_path: Path
) -> None:
    log = tmp_path / "metrics.log"
    options = {"metric-log": {"path": str(log)}}
    world = make_world(github_url=sandbox.url, token=TOKEN, **options)
    stage = Stage(
        world, sandbox, ChildSpec("journal", partial(JournalActor.start, world.system, world.parts))
    )
    job, end = stage.begin(NAME)
    said = JobSaid("acme/demo", "CI", str(job.run_id), "push", "build")
    world.feed.tell(step(0, "idle", "busy", job=asdict(said))._replace(subject=NAME))
    for seconds in (10, 20):
        world.feed.tell(reconcile(seconds))
    world.parts.journal.catch_up(LIMIT_S)
    # As after a loss of power GitHub finds out later than the host.
    eventually(stage.asked)
    stage.passes(300)
    assert stage.told() == []
    end()
    stage.passes(600)
    world.feed.tell(reconcile(30))
    world.parts.journal.catch_up(LIMIT_S)

    (course,) = journal_reader.history(world.parts.journal.path, HistoryQuestion()).jobs
    assert (course.outcome, course.job) == ("gone", replace(said, result="Succeeded"))
    assert (course.finished_at, course.job_s) == (None, None)
    assert course.queue_s is not None
    eventually(lambda: events_in(log)[-1]["timestamp"] == at(30).timestamp())
    (stop,) = [one for one in events_in(log) if one["event"] == "runner_stop"]
    assert (stop["job_conclusion"], "job_duration" in stop) == ("success", False)
    page = generate_latest(world.parts.counters).decode()
    assert 'jobs_total{event="push",result="succeeded"} 1.0' in page
    assert "job_queue_duration_seconds_count 1.0" in page
