"""Twenty runners work through two hundred jobs, and everything that shows it says the same."""

from __future__ import annotations

import json
import urllib.request
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from metric_logs import events_in
from ports import free_port
from prometheus_client.parser import text_string_to_metric_families

from sandbox.github import Job, JobRequest, SandboxGitHub
from sandbox.lxd_emulator import GuestBehaviour, LxdEmulator
from supervisor.gateways.lxd import Lxd, LxdEndpoint
from tests.e2e.daemon_process import DaemonProcess
from tests.e2e.waits import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RUNNERS, JOBS = 20, 200
LIMIT_S = 240.0
PREFIX = "github_runner_supervisor"
BRIDGE = "lxdbr0"
RESULTS = {"success": "Succeeded", "failure": "Failed"}
"""What the runner application calls the conclusions of GitHub."""
LIFE = ["requested", "creating", "booting", "ready", "busy", "finished", "deleted"]
PASSED_OVER = {"booting"}
"""A guest may say that it is ready before LXD says that it has started."""
KINDS = [
    ("push", "true"),
    ("schedule", "exit 1"),
    ("workflow_dispatch", "true"),
    ("push", "true"),
]
"""Of what events the jobs are, and what they run: a quarter of them fails."""


@dataclass
class Fleet:
    """The daemon, and what it serves."""

    daemon: DaemonProcess
    github: SandboxGitHub
    metric_log: Path

    def runners(self) -> Counter[str]:
        """Count the runners by stage."""
        return Counter(runner["stage"] for runner in self.daemon.ask("/v1/runners"))

    def is_at_rest(self) -> bool:
        """Tell whether all runners wait for a job, and GitHub's list has shown that."""
        return self.runners() == {"idle": RUNNERS}

    def metrics(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """Read the page of metrics: values by name and labels."""
        port = self.daemon.config["metrics"]["port"]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            page = answer.read().decode()
        return {
            (sample.name.removeprefix(f"{PREFIX}_"), tuple(sorted(sample.labels.items()))): (
                sample.value
            )
            for family in text_string_to_metric_families(page)
            for sample in family.samples
        }

    def events(self) -> list[dict[str, Any]]:
        """Read the whole journal, page by page."""
        found: list[dict[str, Any]] = []
        while page := self.daemon.ask(
            f"/v1/events?limit=1000&after={found[-1]['id'] if found else 0}"
        )["events"]:
            found += page
        return found


@contextmanager
def fleet_at(directory: Path, tarball: Path) -> Iterator[Fleet]:
    with (
        SandboxGitHub(org="acme", token="ghp_observed", tarball=tarball) as github,
        LxdEmulator(
            directory / "lxd",
            guest=GuestBehaviour(boot_s=0.1, poweroff_s=0.05),
            images={"github-runner": "container"},
            furnished=False,
        ) as lxd,
    ):
        gateway = Lxd(LxdEndpoint(lxd.socket))
        gateway.ensure_pool("default")
        gateway.ensure_network(BRIDGE, {"ipv4.address": "127.0.0.1/8"})
        daemon = DaemonProcess(
            directory,
            {
                "name": "observed",
                "path": "acme",
                "github-url": github.url,
                "token": "ghp_observed",
                "virtual-machines": RUNNERS,
                "reconcile-interval": "2s",
                "firewall": "external",
                "policy": {"mode": "off"},
                "lxd": {
                    "socket": str(lxd.socket),
                    "image": "github-runner",
                    "instance-type": "container",
                },
                "signals": {"port": free_port()},
                "control": {"socket": str(directory / "control.sock")},
                "metrics": {"port": free_port()},
                "metric-log": {"path": str(directory / "metrics.log")},
                "state-directory": str(directory / "state"),
            },
        )
        try:
            yield Fleet(daemon, github, directory / "metrics.log")
        finally:
            daemon.kill()


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, tarball: Path) -> Iterator[Fleet]:
    """Have the jobs done, and all come to rest."""
    with fleet_at(tmp_path_factory.mktemp("observed"), tarball) as fleet:
        # All that is shown of jobs is compared here: to ask about 200 runs at the daemon's own pace
        # takes more than a quarter of an hour, and most would come too late for the metric log.
        fleet.daemon.hurry("supervisor.github.inquiries.PACE_S", 0.001)
        fleet.daemon.hurry("supervisor.observation.awaited_jobs.PATIENCE_S", 10 * LIMIT_S)
        fleet.daemon.start()
        wait_until(fleet.is_at_rest, "all runners wait for jobs", limit_s=LIMIT_S)
        for number in range(JOBS):
            event, script = KINDS[number % len(KINDS)]
            repository, name = f"acme/{'ab'[number % 2]}", f"job-{number}"
            fleet.github.queue(JobRequest(script, repository, event=event, name=name))
        wait_until(partial(are_over, fleet.github), "all jobs are over", limit_s=LIMIT_S)
        wait_until(fleet.is_at_rest, "all runners wait for jobs again", limit_s=LIMIT_S)
        wait_until(
            partial(are_known, fleet), "it is known how long jobs have waited", limit_s=LIMIT_S
        )
        wait_until(partial(is_written_down, fleet), "the journal has it all", limit_s=LIMIT_S)
        yield fleet


def are_over(github: SandboxGitHub) -> bool:
    return all(job.status == "completed" for job in github.jobs())


def are_known(fleet: Fleet) -> bool:
    """Tell whether GitHub has been asked about all jobs."""
    percentiles = fleet.daemon.ask("/v1/history?limit=1")["percentiles"]
    return bool(percentiles["queue_s"]["count"] == JOBS)


def is_written_down(fleet: Fleet) -> bool:
    """Tell whether the journal has come to the last event: it is written a moment later."""
    told = {(event["subject"], event["state"]) for event in fleet.events()}
    return all((runner["name"], "idle") in told for runner in fleet.daemon.ask("/v1/runners"))


def the_same(job: Job) -> tuple[str | None, ...]:
    """Name what the journal tells of a job, too."""
    result = RESULTS[job.conclusion or ""]
    run = str(job.run_id)
    return (job.runner_name, job.repository, job.workflow, job.event, run, job.name, result)


pytestmark = pytest.mark.timeout(3 * LIMIT_S)


def test_the_journal_knows_each_job_as_github_does(fleet: Fleet) -> None:
    jobs = fleet.daemon.ask(f"/v1/history?limit={JOBS + 1}")["jobs"]
    keys = ("runner", "repository", "workflow", "event", "run_id", "name", "result")
    told = {tuple(job[key] for key in keys) for job in jobs}
    assert len(jobs) == JOBS
    assert told == {the_same(job) for job in fleet.github.jobs()}
    assert all(0 <= job["job_s"] < LIMIT_S and job["idle_s"] >= 0 for job in jobs)


def test_the_journal_knows_how_long_each_job_has_waited(fleet: Fleet) -> None:
    told = {job["runner"]: job for job in fleet.daemon.ask(f"/v1/history?limit={JOBS}")["jobs"]}
    for job in fleet.github.jobs():
        assert job.started_at
        waited_s = (job.started_at - job.queued_at).total_seconds()
        # GitHub tells both moments to the second.
        assert told[job.runner_name or ""]["queue_s"] == pytest.approx(waited_s, abs=1.0)
    events = [event for event in fleet.events() if event["kind"] == "job"]
    assert {(event["subject"], event["state"]) for event in events} == {
        (job.runner_name, job.conclusion) for job in fleet.github.jobs()
    }
    assert len(events) == JOBS


def lives(fleet: Fleet) -> dict[str, list[str]]:
    """Give the stages that the journal has of each runner, in their order."""
    found: dict[str, list[str]] = {}
    for event in fleet.events():
        if event["kind"] == "runner" and event["state"] != event["before"]:
            found.setdefault(event["subject"], []).append(event["state"])
    return found


def is_whole(life: list[str]) -> bool:
    """Tell whether a life has all stages in their order, each once."""
    return life == [stage for stage in LIFE if stage in life or stage not in PASSED_OVER]


def test_the_journal_has_the_whole_life_of_each_runner(fleet: Fleet) -> None:
    worked = {job.runner_name for job in fleet.github.jobs()}
    present = {runner["name"] for runner in fleet.daemon.ask("/v1/runners")}
    # It is written a moment after what happens.
    wait_until(lambda: lives(fleet).keys() >= present, "the journal has those that came last")
    told = lives(fleet)
    ended = {name: [s for s in life if s != "idle"] for name, life in told.items()}
    assert {name for name, life in ended.items() if is_whole(life)} == worked
    assert told.keys() == worked | present


def test_prometheus_counts_what_github_does(fleet: Fleet) -> None:
    shown = fleet.metrics()
    jobs = fleet.github.jobs()
    told = Counter((job.event, RESULTS[job.conclusion or ""].lower()) for job in jobs)
    for (event, result), count in told.items():
        assert shown["jobs_total", (("event", event), ("result", result))] == count
    assert sum(value for (name, _), value in shown.items() if name == "jobs_total") == JOBS
    assert shown["job_queue_duration_seconds_count", ()] == JOBS
    queued_s = sum(job["queue_s"] for job in fleet.daemon.ask(f"/v1/history?limit={JOBS}")["jobs"])
    assert shown["job_queue_duration_seconds_sum", ()] == pytest.approx(queued_s)
    assert shown["runner_replacements_total", ()] == JOBS
    assert shown["runner_replacement_duration_seconds_count", ()] == JOBS
    assert shown["runner_stage_duration_seconds_count", (("stage", "busy"),)] == JOBS
    assert shown["runner_wait_duration_seconds_count", ()] == JOBS
    assert not any(name.endswith("_created") for name, _ in shown)
    assert sum(value for (name, _), value in shown.items() if name == "runner_failures_total") == 0


def test_prometheus_and_status_show_the_same_fleet(fleet: Fleet) -> None:
    shown, status = fleet.metrics(), fleet.daemon.ask("/v1/status")
    assert shown["runners_wanted", ()] == status["wanted"] == RUNNERS
    assert shown["runners_online", ()] == status["present"] == RUNNERS
    stages = {dict(labels)["stage"]: v for (name, labels), v in shown.items() if name == "runners"}
    assert {stage: count for stage, count in stages.items() if count} == status["stages"]
    registered = fleet.github.runners()
    assert {runner.name for runner in registered if runner.online} == {
        runner["name"] for runner in fleet.daemon.ask("/v1/runners")
    }


def test_status_says_in_words_that_all_is_well(fleet: Fleet) -> None:
    done = fleet.daemon.cli("status")
    assert done.returncode == 0, done.stdout
    assert f"{RUNNERS} of {RUNNERS}" in done.stdout


def test_history_is_a_table_of_the_jobs(fleet: Fleet) -> None:
    done = fleet.daemon.cli("history", "--repository", "acme/a", "--json")
    assert done.returncode == 0
    jobs = json.loads(done.stdout)["jobs"]
    assert {job["repository"] for job in jobs} == {"acme/a"}
    assert "acme/a" in fleet.daemon.cli("history").stdout


def test_the_metric_log_has_the_events_of_the_charm_before(fleet: Fleet) -> None:
    told: Counter[str] = Counter()
    events: list[dict[str, Any]] = []

    def is_written() -> bool:
        events[:] = events_in(fleet.metric_log)
        told.clear()
        told.update(event["event"] for event in events)
        return told["runner_stop"] >= JOBS

    wait_until(is_written, "the last one is written")
    starts = [event for event in events if event["event"] == "runner_start"]
    jobs = fleet.daemon.ask(f"/v1/history?limit={JOBS}")["jobs"]
    assert Counter(event["queue_duration"] for event in starts) == Counter(
        job["queue_s"] for job in jobs
    )
    assert (told["runner_start"], told["runner_stop"]) == (JOBS, JOBS)
    assert told["runner_installed"] == JOBS + RUNNERS
    assert told["reconciliation"] > 0


def test_a_daemon_that_was_killed_goes_on_with_its_journal(fleet: Fleet) -> None:
    before = fleet.events()
    fleet.daemon.kill()
    fleet.daemon.start()
    wait_until(fleet.is_at_rest, "all runners were taken over", limit_s=LIMIT_S)
    fleet.github.queue(JobRequest("true", "acme/a", name="after"))
    wait_until(partial(are_over, fleet.github), "the job is over", limit_s=LIMIT_S)

    def is_known() -> bool:
        jobs = fleet.daemon.ask(f"/v1/history?limit={JOBS + 2}")["jobs"]
        return len(jobs) == JOBS + 1 and jobs[0]["result"] == "Succeeded"

    wait_until(is_known, "the journal knows it")
    after = fleet.events()
    assert after[: len(before)] == before
    assert len({event["id"] for event in after}) == len(after)
