"""What the event of a job's workflow run leaves for its hooks and steps."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.github import Fault, Job, JobRequest

if TYPE_CHECKING:
    from conftest import Installation

SESSION_S = 30
DEMO = "acme/demo"
SHOW = 'env | grep -E "^GITHUB_"\nprintf "FILE:"\ncat "$GITHUB_EVENT_PATH"\n'


def _run(installation: Installation, request: JobRequest, **variables: str) -> Job:
    job = installation.github.queue(request)
    code, output = installation.run(jitconfig=installation.jitconfig(), **variables)
    assert code == 0, output
    return installation.github.job(job.id)


def _seen(job: Job) -> tuple[dict[str, str], Any]:
    """Return the variables and the event file that a job has shown."""
    variables, _, file = job.log.partition("FILE:")
    return dict(line.split("=", 1) for line in variables.splitlines()), json.loads(file)


def _hook(installation: Installation, name: str, script: str) -> str:
    hook = installation.root / name
    hook.write_text(script)
    return str(hook)


def test_a_push_names_its_branch_and_commit(installation: Installation) -> None:
    branch = installation.github.set_branch(DEMO, "release/1")
    job = _run(installation, JobRequest(SHOW, DEMO, ref="refs/heads/release/1", actor="dora"))
    variables, event = _seen(job)
    assert variables["GITHUB_EVENT_NAME"] == "push"
    assert variables["GITHUB_REF"] == event["ref"] == "refs/heads/release/1"
    assert variables["GITHUB_REF_NAME"] == "release/1"
    assert variables["GITHUB_SHA"] == event["after"] == event["head_commit"]["id"] == branch.sha
    assert (variables["GITHUB_HEAD_REF"], variables["GITHUB_BASE_REF"]) == ("", "")
    assert variables["GITHUB_ACTOR"] == event["sender"]["login"] == "dora"
    assert event["repository"]["full_name"] == variables["GITHUB_REPOSITORY"] == DEMO
    assert event["organization"]["login"] == variables["GITHUB_REPOSITORY_OWNER"] == "acme"


@pytest.mark.parametrize("head", ["acme/demo:feature", "mallory/demo:feature"])
def test_a_pull_request_names_both_branches(installation: Installation, head: str) -> None:
    pull = installation.github.open_pull(DEMO, head, "main")
    request = JobRequest(SHOW, DEMO, event="pull_request", pull=pull.number)
    variables, event = _seen(_run(installation, request))
    assert variables["GITHUB_REF"] == f"refs/pull/{pull.number}/merge"
    assert variables["GITHUB_REF_NAME"] == f"{pull.number}/merge"
    assert (variables["GITHUB_HEAD_REF"], variables["GITHUB_BASE_REF"]) == ("feature", "main")
    assert variables["GITHUB_SHA"] == event["pull_request"]["merge_commit_sha"]
    assert event["number"] == pull.number
    assert variables["GITHUB_ACTOR"] == event["sender"]["login"] == pull.author
    assert event["pull_request"]["head"]["repo"]["full_name"] == head.partition(":")[0]
    assert event["pull_request"]["head"]["sha"] == pull.head_sha
    assert event["pull_request"]["base"]["repo"]["full_name"] == DEMO


@pytest.mark.parametrize(
    ("event", "told"),
    [("schedule", {"schedule": "0 3 * * *"}), ("workflow_dispatch", {"ref": "refs/heads/main"})],
)
def test_other_events_are_of_the_default_branch(
    installation: Installation, event: str, told: dict[str, str]
) -> None:
    variables, payload = _seen(_run(installation, JobRequest(SHOW, DEMO, event=event)))
    assert variables["GITHUB_EVENT_NAME"] == event
    assert variables["GITHUB_REF"] == "refs/heads/main"
    assert told.items() <= payload.items()
    assert payload["repository"]["full_name"] == DEMO


def test_a_tag_is_told_from_a_branch(installation: Installation) -> None:
    variables, _ = _seen(_run(installation, JobRequest(SHOW, DEMO, ref="refs/tags/v1")))
    assert (variables["GITHUB_REF_NAME"], variables["GITHUB_REF_TYPE"]) == ("v1", "tag")


def test_the_started_hook_sees_the_same_event(installation: Installation) -> None:
    pull = installation.github.open_pull(DEMO, "mallory/demo:feature")
    hook = _hook(installation, "started.sh", SHOW)
    request = JobRequest("true", DEMO, event="pull_request", pull=pull.number)
    job = _run(installation, request, ACTIONS_RUNNER_HOOK_JOB_STARTED=hook)
    variables, event = _seen(job)
    assert variables["GITHUB_HEAD_REF"] == event["pull_request"]["head"]["ref"] == "feature"


HOSTILE = "$(touch pwned)`touch pwned`';touch pwned;'\"\\"


def test_hostile_names_stay_names(installation: Installation) -> None:
    pull = installation.github.open_pull(DEMO, f"mallory/demo:{HOSTILE}", title=HOSTILE)
    request = JobRequest(SHOW, DEMO, event="pull_request", pull=pull.number, workflow=HOSTILE)
    variables, event = _seen(_run(installation, request))
    assert variables["GITHUB_HEAD_REF"] == event["pull_request"]["head"]["ref"] == HOSTILE
    assert variables["GITHUB_WORKFLOW"] == HOSTILE
    assert not list(installation.root.rglob("pwned"))


@pytest.mark.parametrize(
    "payload",
    ["", "{}", "no json", '{"a": "line\\n"}\n\n', "x" * 3_000_000 + "\n", "ünïcode\n"],
    ids=["empty", "no fields", "no json", "newlines", "megabytes", "not ASCII"],
)
def test_the_event_file_is_what_the_request_says(installation: Installation, payload: str) -> None:
    script = f'cp "$GITHUB_EVENT_PATH" {installation.root}/seen\necho "$GITHUB_EVENT_PATH"\n'
    job = _run(installation, JobRequest(script, DEMO, payload=payload))
    assert (installation.root / "seen").read_text() == payload
    place = installation.root / "_work" / "_temp" / "_github_workflow" / "event.json"
    assert job.log == f"{place}\n"
    assert stat.S_IMODE(place.stat().st_mode) == 0o600


def test_a_job_whose_event_is_not_to_be_had_runs_nothing(installation: Installation) -> None:
    installation.github.faults.add(Fault("GET", "*/event", status=500, times=None))
    hook = _hook(installation, "started.sh", "echo begins\n")
    variables = {"ACTIONS_RUNNER_HOOK_JOB_STARTED": hook, "SANDBOX_RETRY_S": "0.01"}
    job = _run(installation, JobRequest("echo works\n", DEMO, always="echo always\n"), **variables)
    assert job.conclusion == "failure"
    assert job.log == "Error: The event's payload was not to be had: 500\n"


def test_a_lost_event_is_asked_for_again(installation: Installation) -> None:
    installation.github.faults.add(Fault("GET", "*/event", drop_connection=True, times=2))
    job = _run(installation, JobRequest(SHOW, DEMO), SANDBOX_RETRY_S="0.01")
    assert _seen(job)[1]["repository"]["full_name"] == DEMO


def test_a_failing_started_hook_does_not_keep_steps_that_always_run(
    installation: Installation,
) -> None:
    hooks = {
        "ACTIONS_RUNNER_HOOK_JOB_STARTED": _hook(installation, "a.sh", "echo refused\nexit 1\n"),
        "ACTIONS_RUNNER_HOOK_JOB_COMPLETED": _hook(installation, "b.sh", "echo ends\n"),
    }
    job = _run(installation, JobRequest("echo works\n", DEMO, always="echo always\n"), **hooks)
    assert job.conclusion == "failure"
    assert job.log == ("refused\nError: Process completed with exit code 1.\nalways\nends\n")


def test_steps_that_always_run_come_last_and_may_fail(installation: Installation) -> None:
    job = _run(installation, JobRequest("echo works\n", DEMO, always="exit 3\n"))
    assert job.conclusion == "failure"
    assert job.log == "works\nError: Process completed with exit code 3.\n"


def test_a_hook_that_stops_the_runner_keeps_everything_from_running(
    installation: Installation,
) -> None:
    # The hook's parent is the listener; it ignores the signal that it is then sent itself.
    script = "trap '' TERM\necho refused\nkill -s TERM $PPID\n"
    hook = _hook(installation, "started.sh", script)
    job = _run(
        installation,
        JobRequest("echo works\n", DEMO, always="echo always\n"),
        ACTIONS_RUNNER_HOOK_JOB_STARTED=hook,
        ACTIONS_RUNNER_HOOK_JOB_COMPLETED=_hook(installation, "completed.sh", "echo ends\n"),
    )
    assert (job.conclusion, job.log) == ("failure", "refused\n")
