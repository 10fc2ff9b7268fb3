"""The policy service, real and under gunicorn, as its actor starts, examines and restarts it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
from policy_fleet import HOST, GitHub, PolicyFleet, exists, wait_for_end
from ports import free_port
from readable_python import make_readable_python
from waiting import eventually

from supervisor.supervision import Crash

Make = Callable[..., PolicyFleet]


def test_it_comes_up_and_checks_jobs(fleet: PolicyFleet) -> None:
    assert fleet.told[-1].base == fleet.base
    assert fleet.ask() == 204
    assert fleet.world.shown("policy") == ("ready", f"it checks jobs at {fleet.base}")
    eventually(lambda: fleet.world.details("policy")["workers"] == 2)
    eventually(lambda: fleet.world.details("policy")["counts"] == {"allowed": 1})
    last = fleet.world.details("policy")["decisions"][-1]
    assert (last["repository"], last["event"], last["runner"]) == ("acme/demo", "push", "fleet-a")


def test_it_listens_at_one_address_alone(fleet: PolicyFleet) -> None:
    port = fleet.world.parts.settings.config.policy.port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), timeout=5).close()


def test_a_token_is_good_once_and_from_its_guest_alone(fleet: PolicyFleet) -> None:
    assert fleet.ask(fleet.token("127.0.0.2")) == 401
    token = fleet.token()
    assert fleet.ask(token) == 204
    assert fleet.ask(token) == 401


def test_a_master_that_is_killed_is_replaced_and_nobody_is_turned_away(fleet: PolicyFleet) -> None:
    killed, told = fleet.pid, len(fleet.told)
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: fleet.was_in_trouble("was killed by signal 9", told))
    assert fleet.ask() == 204  # it waits for the one that comes
    eventually(lambda: fleet.healthy and fleet.pid != killed)
    assert not exists(killed)  # not even as a zombie


def test_a_worker_that_is_killed_is_replaced(fleet: PolicyFleet) -> None:
    eventually(lambda: len(fleet.workers) == 2)
    killed = fleet.workers[0]
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: len(fleet.workers) == 2 and killed not in fleet.workers)
    assert fleet.ask() == 204


def test_killed_in_the_middle_of_a_check_it_lets_no_job_through(
    fleet: PolicyFleet, github: GitHub
) -> None:
    answers: list[int | str] = []

    def ask() -> None:
        try:
            answers.append(fleet.ask())
        except (OSError, HTTPException) as error:
            answers.append(type(error).__name__)

    github.open.clear()
    asking = [threading.Thread(target=ask) for _ in range(4)]
    for one in asking:
        one.start()
    eventually(lambda: sum("collaborators" in path for path, _ in github.asked) >= 4)
    os.killpg(fleet.pid, signal.SIGKILL)
    for one in asking:
        one.join(30)
    github.open.set()
    assert len(answers) == 4
    assert 204 not in answers
    eventually(lambda: fleet.healthy)


def test_a_master_that_is_stopped_is_noticed_and_replaced(fleet: PolicyFleet) -> None:
    stopped, told = fleet.pid, len(fleet.told)
    os.kill(stopped, signal.SIGSTOP)
    eventually(lambda: fleet.was_in_trouble("its first process is stopped", told))
    eventually(lambda: fleet.healthy and fleet.pid != stopped)
    assert not exists(stopped)


def test_workers_that_are_stopped_are_noticed_and_replaced(
    fleet: PolicyFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    eventually(lambda: len(fleet.workers) == 2)
    monkeypatch.setattr("supervisor.gateways.policy_client._QUICK_S", 1)
    stopped, told = set(fleet.workers), len(fleet.told)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    eventually(lambda: fleet.was_in_trouble("no answer within 1 s", told))
    eventually(lambda: fleet.healthy and not stopped & set(fleet.workers))


def test_one_worker_that_is_stopped_is_ended_and_the_service_stays(fleet: PolicyFleet) -> None:
    eventually(lambda: len(fleet.workers) == 2)
    master, stopped = fleet.pid, fleet.workers[0]
    os.kill(stopped, signal.SIGSTOP)
    eventually(lambda: stopped not in fleet.workers and len(fleet.workers) == 2)
    assert fleet.pid == master
    assert fleet.ask() == 204


def test_a_service_that_waits_for_github_is_not_ended(fleet: PolicyFleet, github: GitHub) -> None:
    master = fleet.pid
    github.open.clear()
    answers: list[int] = []
    asking = [
        threading.Thread(target=lambda n=n: answers.append(fleet.ask(address=f"127.0.1.{n}")))
        for n in range(1, 51)
    ]
    for one in asking:
        one.start()
    eventually(lambda: "can't check jobs" in fleet.reason)
    github.open.set()
    for one in asking:
        one.join(30)
    assert fleet.pid == master
    assert answers == [204] * 50
    eventually(lambda: fleet.healthy)


def test_a_port_that_somebody_has_is_said_and_taken_when_it_is_free(make: Make) -> None:
    port = free_port()
    with socket.create_server((HOST, port)):
        fleet = make({"port": port})
        eventually(lambda: fleet.reason)
        said = f"can't listen at {HOST}:{port}: Address already in use; free it, or set policy.port"
        assert fleet.reason == said
        assert not fleet.healthy
    eventually(lambda: fleet.healthy)


def test_a_credential_that_github_refuses_keeps_the_fleet_from_making_runners(
    make: Make, github: GitHub
) -> None:
    github.known = {"Bearer another"}
    fleet = make()
    eventually(lambda: "can't check jobs" in fleet.reason)
    assert "secret" not in fleet.reason
    github.known = {"Bearer secret"}
    eventually(lambda: fleet.healthy)


def test_another_credential_is_handed_over_without_an_answer_lost(
    fleet: PolicyFleet, github: GitHub
) -> None:
    github.known |= {"Bearer another"}
    before, refused = fleet.pid, []
    over = threading.Event()

    def keep_asking() -> None:
        while not over.is_set():
            try:
                if (status := fleet.ask()) != 204:
                    refused.append(status)
            except (OSError, HTTPException) as error:
                refused.append(str(error))

    asking = threading.Thread(target=keep_asking)
    asking.start()
    told = len(fleet.told)
    fleet.reload(token="another")
    eventually(lambda: fleet.pid != before)
    eventually(lambda: ("/api/v3/repos/acme/demo", "Bearer another") in _repositories(github))
    wait_for_end(before)
    over.set()
    asking.join(30)
    assert not refused
    assert fleet.told[told:] == []  # healthy all the time


def _repositories(github: GitHub) -> set[tuple[str, str]]:
    """Name the repositories that were asked for, and the credentials."""
    pattern = re.compile(r"(/api/v3/repos/[^/]+/[^/?]+).*")
    found = ((pattern.fullmatch(path), token) for path, token in github.asked)
    return {(match[1], token) for match, token in found if match}


def test_a_changed_token_file_is_noticed_by_itself(
    make: Make, github: GitHub, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.touch(mode=0o600)
    file.write_text("secret")
    fleet = make(token=None, token_file=str(file))
    eventually(lambda: fleet.healthy)
    before = fleet.pid
    github.known = {"Bearer another"}
    file.write_text("another")
    eventually(lambda: fleet.pid != before and fleet.healthy)


def test_secrets_rotate_and_tokens_from_before_are_good_still(fleet: PolicyFleet) -> None:
    before, token = fleet.pid, fleet.token()
    fleet.world.clock.ahead = timedelta(days=1, minutes=1)
    fleet.reload()
    eventually(lambda: fleet.pid != before and fleet.world.details("policy")["healthy"])
    wait_for_end(before)
    assert fleet.ask(token) == 204


@pytest.mark.parametrize("trouble", ["echo no room; exit 1", "sleep 0.1"])
def test_one_goes_on_until_a_successor_answers(
    fleet: PolicyFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    before, told = fleet.pid, len(fleet.told)
    python, mended = tmp_path / "python", tmp_path / "mended"
    wait_for_it = f"until [ -e {mended} ]; do {trouble}; done"
    python.write_text(f'#!/bin/sh\n{wait_for_it}\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with monkeypatch.context() as impatient:
        impatient.setattr("supervisor.actors.policy_here._START_LIMIT_S", 1.0)
        fleet.world.clock.ahead = timedelta(days=1, minutes=1)
        fleet.reload()
        eventually(lambda: fleet.world.details("policy")["warnings"])
        assert fleet.ask() == 204
    mended.touch()
    wait_for_end(before)
    eventually(lambda: not fleet.world.details("policy")["warnings"])
    assert fleet.ask() == 204
    assert fleet.told[told:] == []  # healthy all the time


def test_a_document_is_obeyed_and_a_wrong_one_changes_nothing(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("push: {collaborators: {enabled: false}}\n")
    fleet = make({"document": str(path)})
    eventually(lambda: fleet.healthy)
    assert fleet.ask() == 204
    before = fleet.pid
    path.write_text("push: {collaborators: {enabled: maybe}}\n")
    fleet.reload()
    eventually(lambda: fleet.world.details("policy")["warnings"])
    (warning,) = fleet.world.details("policy")["warnings"]
    rule = "push.collaborators: must be {enabled: true} or {enabled: false}"
    assert warning == f"policy.document: {path}: {rule}"
    assert fleet.pid == before
    assert fleet.healthy


def test_an_actor_that_crashes_takes_the_service_over(fleet: PolicyFleet) -> None:
    before, told = fleet.pid, len(fleet.told)
    fleet.world.tell("policy", Crash("a test"))
    eventually(lambda: fleet.told[told:] and fleet.healthy)
    assert fleet.pid == before
    assert fleet.ask() == 204


@pytest.mark.parametrize("number", [None, signal.SIGSTOP], ids=["well", "stopped"])
def test_it_ends_with_the_daemon_and_leaves_nothing(
    fleet: PolicyFleet, number: signal.Signals | None
) -> None:
    eventually(lambda: len(fleet.workers) == 2)
    processes = [fleet.pid, *fleet.workers]
    fleet.world.system.stop(5)
    assert all(map(exists, processes))  # other ends than the daemon's cost no check
    if number:
        process = fleet.world.parts.policy.process
        assert process
        os.kill(fleet.pid, number)
        eventually(lambda: process.look().master_stopped)
    fleet.world.parts.policy.close()
    eventually(lambda: not any(map(exists, processes)))
    socket.create_server((HOST, fleet.world.parts.settings.config.policy.port)).close()


def test_no_secret_is_in_arguments_the_environment_or_the_log(make: Make) -> None:
    token = "ghp_made_up_for_this_test"
    fleet = make(token=token)
    eventually(lambda: fleet.reason and fleet.workers)
    ring = (fleet.world.state / "policy-secrets").read_text()
    secrets = [token, *re.findall(r'"secret": "([^"]+)"', ring)]
    assert len(secrets) == 2
    for pid in (fleet.pid, *fleet.workers):
        shown = (
            Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
        )
        assert not any(secret.encode() in shown for secret in secrets)
        names = {
            one.partition(b"=")[0] for one in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        }
        assert names <= {
            b"", b"PATH", b"LC_ALL", b"PYTHONUNBUFFERED", b"REQUESTS_CA_BUNDLE", b"CURL_CA_BUNDLE",
            b"SSL_CERT_FILE", b"SERVER_SOFTWARE",
        }  # fmt: skip
    logged = "".join(fleet.world.logged)
    assert "policy service" in logged
    assert not any(secret in logged for secret in secrets)
    for path in fleet.world.state.rglob("*"):
        assert not path.stat().st_mode & 0o077, path
        if path.is_file() and path.name != "policy-secrets":
            assert not any(secret in path.read_text() for secret in secrets)


def test_what_runs_as_the_user_that_is_set_has_nothing_but_that_users_rights(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shell in the place of Python, which may be one that only root can run."""
    _let_through(tmp_path)
    shell = tmp_path / "python"
    shell.write_text("#!/bin/sh\ngrep -E '^(Uid|Gid|Groups):' /proc/self/status\nexec sleep 60\n")
    shell.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(shell))
    fleet = make({"user": "nobody"})
    said = ("Uid: 65534 65534 65534 65534", "Gid: 65534 65534 65534 65534", "Groups:")
    logged = fleet.world.logged
    eventually(
        lambda: all(any(f"policy service: {one}" in line for line in logged) for one in said)
    )
    own = fleet.world.state / "policy"
    assert (own.stat().st_uid, own.stat().st_mode & 0o777) == (65534, 0o700)
    assert (own.parent.stat().st_uid, own.parent.stat().st_mode & 0o777) == (0, 0o710)
    assert (own.parent / "policy-secrets").stat().st_uid == 0


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """Give a directory that others get through: pytest's are its user's alone."""
    made = Path(tempfile.mkdtemp(dir="/var/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def test_the_service_itself_checks_jobs_as_the_user_that_is_set(
    open_directory: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(make_readable_python(open_directory)))
    state = open_directory / "state"
    state.mkdir()
    fleet = make({"user": "nobody"}, state_directory=str(state))
    eventually(lambda: fleet.healthy)
    assert fleet.ask() == 204
    assert {Path(f"/proc/{pid}").stat().st_uid for pid in (fleet.pid, *fleet.workers)} == {65534}
    own = state / "policy"
    assert {path.stat().st_uid for path in own.rglob("*")} == {65534}
    eventually(lambda: fleet.world.details("policy")["counts"] == {"allowed": 1})
    killed, told = fleet.pid, len(fleet.told)
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: fleet.was_in_trouble("was killed by signal 9", told))
    eventually(lambda: fleet.healthy and fleet.pid != killed)
    assert fleet.ask() == 204


def test_a_user_who_can_not_run_it_is_said(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    fleet = make({"user": "nobody"})
    eventually(lambda: fleet.reason)
    assert fleet.reason.startswith("can't start the policy service: ")
    assert fleet.reason.endswith("policy.user: nobody must be able to run it, with all it imports")


def _let_through(path: Path) -> None:
    """Let everybody find what is in a directory that pytest has made."""
    for one in (path, *path.parents):
        if one.stat().st_mode & 0o001 == 0:
            one.chmod(one.stat().st_mode | 0o011)


def test_it_does_not_outlive_a_daemon_that_is_killed(tmp_path: Path) -> None:
    """A program of the test's own starts it, as the daemon does, and is killed."""
    port = free_port()
    program = f"""
import json, time
from pathlib import Path
from supervisor.gateways.policy_process import Launch
from supervisor.gateways.policy_service import PolicyService
settings = {_settings(tmp_path)!r}
service = PolicyService()
service.listen({HOST!r}, {port})
service.serve(Launch(json.dumps(settings), 1, 1), "", b"", lambda process: None)
print(service.process.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as daemon:
        try:
            assert daemon.stdout
            master = int(daemon.stdout.readline())
            eventually(lambda: _children(master))
            group = [str(master), *_children(master)]
        finally:
            daemon.kill()
    eventually(lambda: not any(map(_runs, group)))
    socket.create_server((HOST, port)).close()


def _settings(directory: Path) -> dict[str, Any]:
    return {
        "github": {"api_url": "http://127.0.0.1:1", "credential": {"token": "t"}},
        "charm_token": "c",
        "token_secrets": ["A" * 44],
        "state_directory": str(directory / "policy"),
        "decisions": str(directory / "policy/decisions.jsonl"),
    }


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def _runs(pid: str) -> bool:
    """Tell whether a process is there that has not ended; nobody may wait for it here."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
