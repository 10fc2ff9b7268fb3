from __future__ import annotations

import re
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sandbox.github import Fault, JobRequest

if TYPE_CHECKING:
    from conftest import Installation

SESSION_S = 30


def _hook(directory: Path, name: str, script: str) -> str:
    hook = directory / name
    hook.write_text(script)
    return str(hook)


def test_a_job_runs_and_the_runner_is_gone(installation: Installation) -> None:
    job = installation.github.queue(JobRequest("echo hello\npwd\n", "acme/demo", name="greet"))
    code, output = installation.run(jitconfig=installation.jitconfig())
    assert code == 0
    assert re.search(r"√ Connected to GitHub", output)
    assert re.search(r"Z: Listening for Jobs\n", output)
    assert re.search(r"Z: Job greet completed with result: Succeeded\n", output)
    ended = installation.github.job(job.id)
    assert (ended.conclusion, ended.runner_name) == ("success", "one")
    workspace = installation.root / "_work" / "demo" / "demo"
    assert ended.log == f"hello\n{workspace}\n"
    assert installation.github.runners() == ()
    assert not (installation.root / ".credentials").exists()


def test_a_runner_takes_one_job_only(installation: Installation) -> None:
    for _ in range(2):
        installation.github.queue(JobRequest("true", "acme/demo"))
    installation.run(jitconfig=installation.jitconfig())
    statuses = [job.status for job in installation.github.jobs()]
    assert statuses == ["completed", "queued"]


def test_a_failing_step_fails_the_job_and_stops_it(installation: Installation) -> None:
    assert installation.run_job("echo before\nfalse\necho after\n") == "failure"
    assert installation.log == "before\nError: Process completed with exit code 1.\n"


def test_the_diagnostic_logs_tell_what_happened(installation: Installation) -> None:
    installation.run_job("exit 3")
    (runner,) = (installation.root / "_diag").glob("Runner_*.log")
    (worker,) = (installation.root / "_diag").glob("Worker_*.log")
    assert "Running job: greet" in runner.read_text()
    assert "Run ended with 3" in worker.read_text()
    assert "Job result: Failed, told the server: 204" in worker.read_text()


def test_a_job_knows_what_it_is_part_of(installation: Installation) -> None:
    script = 'for n in "$@"; do :; done\nenv | grep -E "^(GITHUB|RUNNER|CI)"\n'
    assert installation.run_job(script) == "success"
    seen = dict(line.split("=", 1) for line in installation.log.splitlines())
    job = installation.github.jobs()[0]
    expected = {
        "CI": "true",
        "GITHUB_ACTIONS": "true",
        "GITHUB_REPOSITORY": "acme/demo",
        "GITHUB_REPOSITORY_OWNER": "acme",
        "GITHUB_WORKFLOW": "demo",
        "GITHUB_RUN_ID": str(job.run_id),
        "GITHUB_EVENT_NAME": "schedule",
        "GITHUB_JOB": "greet",
        "GITHUB_SHA": job.sha,
        "GITHUB_REF": "refs/heads/main",
        "GITHUB_REF_NAME": "main",
        "GITHUB_REF_TYPE": "branch",
        "GITHUB_HEAD_REF": "",
        "GITHUB_BASE_REF": "",
        "GITHUB_ACTOR": "octocat",
        "GITHUB_TRIGGERING_ACTOR": "octocat",
        "GITHUB_WORKSPACE": str(installation.root / "_work" / "demo" / "demo"),
        "RUNNER_NAME": "one",
    }
    assert {name: seen.get(name) for name in expected} == expected


def test_the_env_file_is_read_as_it_stands(installation: Installation) -> None:
    lines = ["PLAIN=a b", 'QUOTED="$HOME"', "# no=comment", "1BAD=x", "BAD-NAME=x", "LAST=z=y"]
    (installation.root / ".env").write_text("\n".join(lines))
    installation.run_job('printf "%s|" "$PLAIN" "$QUOTED" "$LAST" "${BAD-none}"\n')
    assert installation.log == 'a b|"$HOME"|z=y|none|\n'


def test_hooks_run_before_and_after_the_job(installation: Installation) -> None:
    started = _hook(installation.root, "started.sh", 'echo "$GITHUB_REPOSITORY begins"\n')
    completed = _hook(installation.root, "completed.sh", "echo ends\n")
    (installation.root / ".env").write_text(
        f"ACTIONS_RUNNER_HOOK_JOB_STARTED={started}\n"
        f"ACTIONS_RUNNER_HOOK_JOB_COMPLETED={completed}\n"
    )
    assert installation.run_job("echo works\n") == "success"
    assert installation.log == "acme/demo begins\nworks\nends\n"


def test_a_failing_started_hook_fails_the_job_before_its_steps(installation: Installation) -> None:
    started = _hook(installation.root, "started.sh", "echo refused\nfalse\necho never\n")
    completed = _hook(installation.root, "completed.sh", "echo ends\n")
    conclusion = installation.run_job(
        "echo works\n",
        ACTIONS_RUNNER_HOOK_JOB_STARTED=started,
        ACTIONS_RUNNER_HOOK_JOB_COMPLETED=completed,
    )
    assert conclusion == "failure"
    assert "refused" in installation.log
    assert "ends" in installation.log
    assert "works" not in installation.log
    assert "never" not in installation.log


def test_a_failing_completed_hook_fails_the_job(installation: Installation) -> None:
    hook = _hook(installation.root, "completed.sh", "exit 4\n")
    conclusion = installation.run_job("echo works\n", ACTIONS_RUNNER_HOOK_JOB_COMPLETED=hook)
    assert conclusion == "failure"


def test_a_missing_hook_fails_the_job(installation: Installation) -> None:
    assert installation.run_job("true", ACTIONS_RUNNER_HOOK_JOB_STARTED="/nowhere.sh") == "failure"
    assert "File doesn't exist: /nowhere.sh" in installation.log


def test_a_hook_hands_variables_to_the_steps(installation: Installation) -> None:
    script = 'echo "GREETING=good day" >>"$GITHUB_ENV"\necho /opt/more >>"$GITHUB_PATH"\n'
    hook = _hook(installation.root, "started.sh", script)
    installation.run_job('echo "$GREETING ${PATH%%:*}"\n', ACTIONS_RUNNER_HOOK_JOB_STARTED=hook)
    assert installation.log == "good day /opt/more\n"


def test_a_deleted_registration_ends_the_runner_with_zero(installation: Installation) -> None:
    jitconfig = installation.jitconfig()
    with installation.github.hub.change() as state:
        state.delete_runner(installation.github.runners()[0].id)
    code, output = installation.run(jitconfig=jitconfig)
    assert code == 0
    assert "has been deleted from the server" in output


def test_a_registration_deleted_while_it_waits_ends_the_runner(installation: Installation) -> None:
    process = installation.start(jitconfig=installation.jitconfig())
    github = installation.github
    assert github.wait_for(lambda: bool(github.hub.polling()), SESSION_S)
    with github.hub.change() as state:
        state.delete_runner(github.runners()[0].id)
    github.hub.wake()
    output, _ = process.communicate(timeout=SESSION_S)
    assert process.returncode == 0
    assert "has been deleted from the server" in output


def test_without_a_configuration_it_says_so(installation: Installation) -> None:
    code, output = installation.run()
    assert code == 0
    assert "Not configured" in output
    code, output = installation.run("./bin/Runner.Listener", "run")
    assert code == 1


def test_a_session_held_by_another_is_a_conflict(installation: Installation) -> None:
    jitconfig = installation.jitconfig()
    with installation.github.hub.change() as state:
        token = installation.github.runners()[0].token
        state.open_session(token, installation.github.hub.clock())
    variables = {"SANDBOX_CONFLICT_WAIT_S": "0"}
    command = ("./bin/Runner.Listener", "run")
    code, output = installation.run(*command, jitconfig=jitconfig, **variables)
    assert code == 5
    assert output.count("A session for this runner already exists.") == 8
    code, output = installation.run(jitconfig=jitconfig, **variables)
    assert code == 0
    assert "Session Conflict" in output


def test_lost_answers_do_no_harm(installation: Installation) -> None:
    faults = installation.github.faults
    for path in ("*/session", "*/job", "*/started", "*/completed"):
        faults.add(Fault(path_pattern=path, drop_connection=True))
    faults.add(Fault("POST", "*/session", drop_connection=True, after_processing=True))
    assert installation.run_job("echo works\n", SANDBOX_RETRY_S="0.05") == "success"
    assert installation.log == "works\n"


def test_a_stopped_runner_says_goodbye(installation: Installation) -> None:
    process = installation.start(jitconfig=installation.jitconfig())
    github = installation.github
    assert github.wait_for(lambda: bool(github.hub.polling()), SESSION_S)
    process.terminate()
    output, _ = process.communicate(timeout=SESSION_S)
    assert process.returncode == 0, output
    assert [runner.online for runner in github.runners()] == [False]


def test_a_runner_stopped_in_its_job_reports_a_failure(installation: Installation) -> None:
    github = installation.github
    job = github.queue(JobRequest("echo begun; exec sleep 60\n", "acme/demo"))
    process = installation.start(jitconfig=installation.jitconfig())
    log = installation.root / "_work" / "_temp"
    assert github.wait_for(
        lambda: any("begun" in found.read_text() for found in log.glob("*/job.log")), SESSION_S
    )
    process.terminate()
    process.communicate(timeout=SESSION_S)
    assert github.job(job.id).conclusion == "failure"


def test_no_secret_is_in_any_argument_or_in_the_jobs_environment(
    installation: Installation,
) -> None:
    jitconfig = installation.jitconfig()
    token = installation.github.runners()[0].token
    process = installation.start(jitconfig=jitconfig)
    github = installation.github
    assert github.wait_for(lambda: bool(github.hub.polling()), SESSION_S)
    arguments = _arguments_below(process.pid)
    assert any("Runner.Listener" in line for line in arguments)
    assert any(line.startswith(("nc ", "curl ")) for line in arguments)
    assert not any(token in line or jitconfig in line for line in arguments)
    script = "cat /proc/self/environ /proc/$PPID/cmdline | tr '\\0' '\\n'\nenv\n"
    github.queue(JobRequest(script, "acme/demo"))
    process.communicate(timeout=SESSION_S)
    assert "GITHUB_REPOSITORY=acme/demo" in installation.log
    assert token not in installation.log
    assert jitconfig not in installation.log


def test_the_credentials_are_for_their_owner_only(installation: Installation) -> None:
    process = installation.start(jitconfig=installation.jitconfig())
    github = installation.github
    assert github.wait_for(lambda: bool(github.hub.polling()), SESSION_S)
    modes = {
        name: stat.S_IMODE((installation.root / name).stat().st_mode)
        for name in (".runner", ".credentials", ".credentials_rsaparams")
    }
    process.terminate()
    process.communicate(timeout=SESSION_S)
    assert set(modes.values()) == {0o600}


def test_a_long_job_keeps_its_runner_online(installation: Installation) -> None:
    github = installation.github
    renewals = github.faults.add(Fault("POST", "*/renew", delay_s=0.001, times=None))
    gate = installation.root / "gate"
    job = github.queue(JobRequest(f"while [ ! -e {gate} ]; do sleep 0.05; done\n", "acme/demo"))
    process = installation.start(jitconfig=installation.jitconfig(), SANDBOX_LEASE_S="0.05")
    assert github.wait_for(lambda: github.faults.hits(renewals) > 1, SESSION_S)
    gate.touch()
    process.communicate(timeout=SESSION_S)
    assert github.job(job.id).conclusion == "success"


def test_a_long_log_is_kept_from_its_end(installation: Installation) -> None:
    script = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i + 1)); done\n"
    assert installation.run_job(script) == "success"
    assert installation.log.endswith("line 19998\nline 19999\n")
    assert "line 0\n" not in installation.log


def test_a_runner_ends_soon_after_its_job(installation: Installation) -> None:
    process = installation.start(jitconfig=installation.jitconfig())
    github = installation.github
    assert github.wait_for(lambda: bool(github.hub.polling()), SESSION_S)
    github.queue(JobRequest("true", "acme/demo"))
    process.communicate(timeout=SESSION_S)
    ended_at = time.time()
    started_at = github.jobs()[0].started_at
    assert started_at is not None
    # Measured: 0.01 s; the limit leaves room for a machine that is busy otherwise.
    assert ended_at - started_at.timestamp() < 10


def test_no_process_outlives_the_runner(installation: Installation) -> None:
    # What waits to renew the job's lease may be left for the rest of its wait, never longer.
    installation.run_job("true", SANDBOX_LEASE_S="1")
    root = str(installation.root)

    def nobody_left() -> bool:
        return not any(_target(path) == root for path in Path("/proc").glob("[0-9]*/cwd"))

    assert installation.github.wait_for(nobody_left, SESSION_S)


def test_config_sh_registers_runs_and_removes(installation: Installation) -> None:
    github = installation.github
    variables = {"ACTIONS_RUNNER_INPUT_TOKEN": installation.token("registration")}
    arguments = ("--url", f"{github.url}/acme", "--name", "two", "--labels", "big", "--unattended")
    code, output = installation.run("./config.sh", *arguments, **variables)
    assert (code, "Runner successfully added" in output) == (0, True), output
    (runner,) = github.runners()
    assert (runner.name, runner.ephemeral) == ("two", False)
    assert runner.label_names == {"self-hosted", "linux", "x64", "big"}
    code, output = installation.run("./config.sh", *arguments, **variables)
    assert (code, "already configured" in output) == (1, True)
    job = github.queue(JobRequest("true", "acme/demo", labels=("big",)))
    code, output = installation.run("./run.sh", "--once")
    assert (code, github.job(job.id).conclusion) == (0, "success"), output
    token = {"ACTIONS_RUNNER_INPUT_TOKEN": installation.token("remove")}
    code, output = installation.run("./config.sh", "remove", **token)
    assert (code, github.runners()) == (0, ()), output


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--token", "x"), "Missing required argument: --url"),
        (("--url", "http://127.0.0.1:9/acme"), "Missing required argument: --token"),
        (("--url",), "--url needs a value"),
        (("--bogus",), "Unrecognized command-line input argument: '--bogus'"),
    ],
)
def test_config_sh_refuses_what_makes_no_sense(
    installation: Installation, arguments: tuple[str, ...], complaint: str
) -> None:
    code, output = installation.run("./config.sh", *arguments)
    assert (code, complaint in output) == (1, True), output


def test_config_sh_refuses_an_unknown_token(installation: Installation) -> None:
    arguments = ("--url", f"{installation.github.url}/acme", "--token", "x", "--name", "two")
    code, output = installation.run("./config.sh", *arguments)
    assert (code, "Invalid configuration provided for token" in output) == (1, True)


@pytest.mark.parametrize("script", ["./run.sh", "./config.sh"])
def test_root_is_refused_unless_it_insists(installation: Installation, script: str) -> None:
    tools = installation.root / "fake"
    tools.mkdir()
    (tools / "id").write_text("#!/bin/sh\necho 0\n")
    (tools / "id").chmod(0o755)
    path = f"{tools}:{installation.environment['PATH']}"
    code, output = installation.run(script, PATH=path, RUNNER_ALLOW_RUNASROOT="")
    assert code == 1
    assert re.fullmatch(r"Must not run (interactively )?with sudo\n", output)


def _arguments_below(pid: int) -> list[str]:
    """Return the arguments of a process and all below it."""
    lines = [Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")]
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return lines + [line for child in children for line in _arguments_below(int(child))]


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""
