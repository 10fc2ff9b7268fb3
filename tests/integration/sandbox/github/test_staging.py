"""What a test may do to runners that nobody runs."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from sandbox.github import JobRequest, SandboxGitHub
from sandbox.github.registrations import NameTakenError

if TYPE_CHECKING:
    from conftest import Client

RUNNERS = "/orgs/acme/actions/runners"


def test_anothers_runner_lasts(client: Client, github: SandboxGitHub) -> None:
    runner = github.add_runner("acme", "fleet-x-1", ["x"], online=True)
    shown = client.ask("GET", f"{RUNNERS}/{runner.id}").json()
    assert (shown["name"], shown["status"], shown["ephemeral"]) == ("fleet-x-1", "online", False)
    github.queue(JobRequest("true", "acme/demo", labels=("x",)))
    assert github.hand_out(runner.id) is not None
    assert client.ask("GET", f"{RUNNERS}/{runner.id}").json()["busy"] is True
    with pytest.raises(KeyError):
        github.add_runner("nobody", "one")


def test_a_renamed_runner_is_found_by_its_new_name_only(
    client: Client, github: SandboxGitHub
) -> None:
    runner = github.add_runner("acme", "one")
    github.add_runner("acme", "two")
    github.rename_runner(runner.id, "three")
    totals = {
        name: client.ask("GET", f"{RUNNERS}?name={name}").json()["total_count"]
        for name in ("one", "two", "three")
    }
    assert totals == {"one": 0, "two": 1, "three": 1}
    with pytest.raises(NameTakenError):
        github.rename_runner(runner.id, "TWO")
    assert github.rename_runner(runner.id, "Three").name == "Three"
    assert github.add_runner("acme", "one").id != runner.id
    assert client.ask("DELETE", f"{RUNNERS}/{runner.id}").status_code == 204


def test_a_runner_can_be_shown_online_and_offline(client: Client, github: SandboxGitHub) -> None:
    runner = github.add_runner("acme", "one")
    github.set_online(runner.id)
    assert client.ask("GET", f"{RUNNERS}/{runner.id}").json()["status"] == "online"
    github.set_offline(runner.id)
    assert client.ask("GET", f"{RUNNERS}/{runner.id}").json()["status"] == "offline"


def test_a_dead_machines_runner_can_stay_busy(client: Client, github: SandboxGitHub) -> None:
    runner = github.add_runner("acme", "one", ["x"], online=True)
    github.queue(JobRequest("true", "acme/demo", labels=("x",)))
    github.hand_out(runner.id)
    github.set_offline(runner.id, keep_job=True)
    shown = client.ask("GET", f"{RUNNERS}/{runner.id}").json()
    assert (shown["status"], shown["busy"]) == ("offline", True)
    assert client.ask("DELETE", f"{RUNNERS}/{runner.id}").status_code == 422
    github.set_offline(runner.id)
    assert client.ask("DELETE", f"{RUNNERS}/{runner.id}").status_code == 204


def test_nobody_is_lost_by_a_jump_of_the_clock_nor_without_a_program() -> None:
    with SandboxGitHub(org="acme", offline_after=timedelta(milliseconds=400)) as github:
        staged = github.add_runner("acme", "staged", online=True)
        heard = github.add_runner("acme", "heard")
        with github.hub.change() as state:
            state.open_session(heard.token, github.hub.clock())
        github.skew_clock(timedelta(days=1))
        github.hub.expire()
        assert [runner.online for runner in github.runners()] == [True, True]
        assert github.wait_for(lambda: not github.runners()[1].online, 5)
        assert github.runners()[0].id == staged.id
        assert github.runners()[0].online
