from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import TYPE_CHECKING

import pytest
import requests

from sandbox.github import Fault

if TYPE_CHECKING:
    from conftest import Client

    from sandbox.github import SandboxGitHub

RUNNERS = "/orgs/acme/actions/runners"


def test_each_call_is_recorded_with_what_came_of_it(client: Client, github: SandboxGitHub) -> None:
    began = github.hub.clock()
    first = client.ask("GET", f"{RUNNERS}?name=x&page=1")
    etag = first.headers["ETag"]
    client.ask("GET", f"{RUNNERS}?name=x&page=1", headers={"If-None-Match": etag})
    client.ask("POST", f"/api/v3{RUNNERS}/registration-token")
    client.ask("DELETE", f"{RUNNERS}/77")
    calls = github.calls()
    assert [(call.method, call.path, call.query, call.status) for call in calls] == [
        ("GET", RUNNERS, "name=x&page=1", 200),
        ("GET", RUNNERS, "name=x&page=1", 304),
        ("POST", f"{RUNNERS}/registration-token", "", 201),
        ("DELETE", f"{RUNNERS}/77", "", 404),
    ]
    assert [call.conditional for call in calls] == [False, True, False, False]
    assert [call.not_modified for call in calls] == [False, True, False, False]
    assert [call.resource for call in calls] == [
        "core",
        "core",
        "actions_runner_registration",
        "core",
    ]
    assert began <= calls[0].at <= calls[-1].at <= github.hub.clock()
    with pytest.raises(FrozenInstanceError):
        calls[0].status = 500  # type: ignore[misc]


def test_calls_can_be_forgotten(client: Client, github: SandboxGitHub) -> None:
    client.ask("GET", RUNNERS)
    github.clear_calls()
    assert github.calls() == ()


def test_the_sandboxs_own_places_are_not_recorded(client: Client, github: SandboxGitHub) -> None:
    client.ask("GET", "/_sandbox/runners")
    client.ask("POST", "/_runner/session")
    assert github.calls() == ()


@pytest.mark.usefixtures("broken_contract")
def test_a_call_that_a_fault_befell_is_recorded_too(client: Client, github: SandboxGitHub) -> None:
    github.faults.add(Fault("GET", status=502))
    client.ask("GET", RUNNERS)
    github.faults.add(Fault("DELETE", drop_connection=True))
    with pytest.raises(requests.exceptions.ConnectionError):
        client.ask("DELETE", f"{RUNNERS}/1")
    assert [(call.method, call.status) for call in github.calls()] == [
        ("GET", 502),
        ("DELETE", None),
    ]
