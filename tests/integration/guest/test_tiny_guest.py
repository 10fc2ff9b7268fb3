"""The guest's script under busybox, in the tiny image, on a real LXD."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from waiting import eventually

from sandbox.application.package import VERSION, build_application
from sandbox.image import build_image
from supervisor.gateways.lxd import Lxd

Guests = Any
Inbox = Any
READY = {"signal": "ready"}
FINISHED = {"signal": "finished", "exit-code": "0"}
JIT_CONFIG = "and0LWNvbmZpZ3VyYXRpb24tb2YtdGhlLXRlc3Q="
TOKEN = "signal-token-of-the-test"


def tell(expression: str) -> str:
    """Return a piece of run.sh that tells what an expression gives, by the job's hook."""
    return f'. ./.env; GITHUB_WORKFLOW="{expression}" "$ACTIONS_RUNNER_HOOK_JOB_STARTED"\n'


def test_a_guest_reports_each_stage_of_its_job_and_powers_off(guests: Guests) -> None:
    script = """
        . ./.env
        export GITHUB_REPOSITORY=org/repo GITHUB_WORKFLOW='build & test' GITHUB_RUN_ID=42
        export GITHUB_EVENT_NAME=push GITHUB_JOB=unit
        sh -e "$ACTIONS_RUNNER_HOOK_JOB_STARTED" && sh -e "$ACTIONS_RUNNER_HOOK_JOB_COMPLETED"
    """
    started = {
        "signal": "job-started",
        "repository": "org/repo",
        "workflow": "build & test",
        "run-id": "42",
        "event": "push",
        "job": "unit",
    }
    assert guests.run(script) == [READY, started, {"signal": "job-finished"}, FINISHED]


def test_no_process_shows_a_secret_in_its_arguments(guests: Guests, inbox: Inbox) -> None:
    guests.run(tell("any") + tell("thing"))
    assert len(inbox.signals) == 4
    assert inbox.leaks == []


def test_the_application_runs_as_an_unprivileged_user_with_its_own_home(guests: Guests) -> None:
    said = guests.run(tell("$(id -un) $(id -Gn) $HOME $USER $PWD $(id -u)"))
    assert said[1]["workflow"] == "runner runner /home/runner runner /opt/actions-runner 1000"


def test_the_application_has_the_jit_configuration_in_its_environment_alone(
    guests: Guests,
) -> None:
    script = tell("$ACTIONS_RUNNER_INPUT_JITCONFIG $(env | grep -c SIGNAL_)")
    assert guests.run(script)[1]["workflow"] == f"{JIT_CONFIG} 0"


def test_a_job_finds_no_secret_in_files_but_its_hooks_token(guests: Guests) -> None:
    # In two pieces, so that the application itself does not hold what it looks for.
    found = "$(find / -xdev -type f 2>/dev/null | xargs grep -lF {} 2>/dev/null | sort | xargs)"
    jit = found.format(f"{JIT_CONFIG[:9]}''{JIT_CONFIG[9:]}")
    token = found.format(f"{TOKEN[:9]}''{TOKEN[9:]}")
    said = guests.run(tell(jit) + tell(token))
    assert [entry.get("workflow") for entry in said[1:3]] == [
        None,
        "/var/lib/github-runner-guest/endpoint",
    ]


def test_a_job_can_not_change_its_hooks(guests: Guests) -> None:
    script = """
        . ./.env
        d=${ACTIONS_RUNNER_HOOK_JOB_STARTED%/*}
        echo evil 2>/dev/null >>"$ACTIONS_RUNNER_HOOK_JOB_STARTED" && exit 11
        mv "$ACTIONS_RUNNER_HOOK_JOB_STARTED" /tmp/x 2>/dev/null && exit 12
        ls "$d/private" 2>/dev/null && exit 13
        touch "$d/new" 2>/dev/null && exit 14
        exit 0
    """
    assert guests.run(script) == [READY, FINISHED]


@pytest.mark.parametrize(
    ("script", "code"), [("exit 3", "3"), ("kill -9 $$", "137"), ("exec /nothing", "127")]
)
def test_an_application_that_crashes_is_reported(guests: Guests, script: str, code: str) -> None:
    assert guests.run(script) == [READY, {"signal": "finished", "exit-code": code}]


def test_an_application_with_a_wrong_sha256_is_refused_and_reported(guests: Guests) -> None:
    said = guests.run("exit 0", application_sha256="0" * 64)
    assert [entry["signal"] for entry in said] == ["failed"]
    assert said[0]["reason"].endswith(f"wanted {'0' * 64}")


def test_a_guest_that_failed_stays_for_its_logs_and_then_powers_off(guests: Guests) -> None:
    name = guests.start("exit 0", runner_user="root", linger_s=12)
    guests.wait_until_failed(name)
    failed_at = time.monotonic()
    guests.wait_until_gone(name)
    assert time.monotonic() - failed_at > 4


def test_a_guest_that_failed_and_that_nobody_heard_powers_off_at_once(guests: Guests) -> None:
    unheard = "http://127.0.0.1:9/x"
    name = guests.start("exit 0", runner_user="root", signal_url=unheard, linger_s=300)
    guests.wait_until_gone(name)


def test_an_application_that_can_not_be_had_is_reported(guests: Guests, inbox: Inbox) -> None:
    url = f"{inbox.base}/other.tar.gz"
    said = guests.run("exit 0", application_url=url)
    reason = f"the application could not be fetched from {url}"
    assert said == [{"signal": "failed", "reason": reason}]


def test_a_user_that_is_missing_is_made_or_its_lack_reported(guests: Guests) -> None:
    said = guests.run(tell("$(id -un) $HOME"), runner_user="builder")
    # Whether this machine's busybox can make users is its packager's choice.
    if said[-1] == FINISHED:
        assert said[1]["workflow"] == "builder /home/builder"
    else:
        assert said == [{"signal": "failed", "reason": "the user builder could not be made"}]


def test_root_is_no_user_for_the_application(guests: Guests) -> None:
    said = guests.run("exit 0", runner_user="root")
    assert said == [{"signal": "failed", "reason": "the user root is root"}]


def test_a_guest_without_its_host_runs_its_job_and_powers_off(guests: Guests, inbox: Inbox) -> None:
    # The job is seen by what it fetches: reports go where nobody listens.
    script = f"wget -q -O /dev/null {inbox.base}/application.tar.gz"
    began = time.monotonic()
    guests.run(script, signal_url="http://127.0.0.1:9/x", unheard_limit_s=3)
    # It waits for one that may be being started anew.
    assert time.monotonic() - began > 3
    assert inbox.signals == []


def test_a_host_that_is_being_started_anew_as_a_job_ends_hears_once_how_it_ended(
    guests: Guests, start_host: Callable[..., Inbox]
) -> None:
    before = start_host()
    before.files["/here"] = b""
    # The job lasts for as long as its host is there.
    script = f"""
        while wget -q -O /dev/null {before.base}/here; do sleep 0.1; done
        echo 'Job unit completed with result: Succeeded'
    """
    name = guests.start(script, signal_url=f"{before.base}/v1/runners/r1/signals")
    eventually(lambda: before.signals == [READY], limit_s=45)
    before.shutdown()
    before.server_close()
    after: list[Inbox] = []
    back = threading.Timer(3, lambda: after.append(start_host(before.server_port, 3)))
    back.start()
    guests.wait_until_gone(name)
    back.join()
    assert after[0].signals == [{**FINISHED, "result": "Succeeded"}]
    assert after[0].not_heard_yet == 0


def test_an_instance_that_is_started_a_second_time_runs_nothing(
    guests: Guests, inbox: Inbox
) -> None:
    name = guests.start("exit 0", ephemeral=False)
    guests.wait_until_stopped(name)
    assert inbox.signals == [READY, FINISHED]
    guests.start_again(name)
    guests.wait_until_stopped(name)
    assert inbox.signals == [READY, FINISHED]


def test_an_application_in_the_image_is_not_fetched(
    guests: Guests, inbox: Inbox, lxd: Lxd, tmp_path: Path
) -> None:
    application = build_application(tmp_path)
    image = build_image(tmp_path, application.path)
    lxd.import_image(image.path, alias="with-application")
    try:
        # It is not a JIT configuration of its server, so it ends at once: what counts is that it
        # was started, though the address has nothing.
        said = guests.run(
            "exit 9",
            image="with-application",
            application_sha256=application.sha256,
            application_url=f"{inbox.base}/nothing",
        )
        assert said == [READY, FINISHED]
    finally:
        lxd.delete_image(image.fingerprint)


TRIAL = {"jit_config": "", "is_trial": True}


@pytest.fixture
def furnished(lxd: Lxd, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Give the image with the application in it, and which one that is."""
    application = build_application(tmp_path)
    image = build_image(tmp_path, application.path, policy_tools=True)
    lxd.import_image(image.path, alias="furnished")
    yield {"image": "furnished", "application_sha256": application.sha256}
    lxd.delete_image(image.fingerprint)


def test_a_guest_that_tries_its_image_asks_the_application_for_its_version_and_ends(
    guests: Guests, furnished: dict[str, Any]
) -> None:
    for policy_url in ("", "http://10.0.0.1:8643"):
        assert guests.run("exit 9", **furnished, **TRIAL, policy_url=policy_url) == [
            READY,
            FINISHED,
        ]
        guests.inbox.signals.clear()


def test_an_image_whose_application_can_not_be_run_is_found_out(
    guests: Guests, furnished: dict[str, Any]
) -> None:
    broken = {"/opt/actions-runner/bin/Runner.Listener": "#!/bin/nothing\n"}
    said = guests.run("exit 9", **furnished, **TRIAL, programs=broken)
    assert said == [READY, {"signal": "finished", "exit-code": "127"}]


def test_an_application_of_another_version_is_found_out(
    guests: Guests, furnished: dict[str, Any]
) -> None:
    assert guests.run("exit 9", **furnished, **TRIAL, trial_version=VERSION) == [READY, FINISHED]
    guests.inbox.signals.clear()
    other = VERSION.replace(".", "0")
    reason = f"the application does not say that its version is {other}"
    said = guests.run("exit 9", **furnished, **TRIAL, trial_version=other)
    assert said == [READY, {"signal": "failed", "reason": reason}]


def test_a_guest_that_tries_its_image_fetches_nothing(guests: Guests) -> None:
    (failed,) = guests.run("exit 0", **TRIAL)
    assert failed == {"signal": "failed", "reason": "the image does not hold the application"}


def test_a_guest_looks_up_names(guests: Guests) -> None:
    # LXD's own DNS knows its instances; nothing listens there, which is told apart.
    said = guests.run(tell("$(wget -O - http://$(hostname).lxd:1/ 2>&1 | tail -n 1)"))
    assert "refused" in said[1]["workflow"]
