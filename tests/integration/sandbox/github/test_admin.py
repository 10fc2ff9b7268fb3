from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.github import Fault

if TYPE_CHECKING:
    from conftest import Client, NewClient

    from sandbox.github import SandboxGitHub


def test_jobs_can_be_queued_and_looked_at_from_outside(
    client: Client, github: SandboxGitHub
) -> None:
    body = {"script": "true", "repository": "acme/demo", "labels": ["a"]}
    queued = client.ask("POST", "/_sandbox/jobs", json=body)
    assert (queued.status_code, queued.json()["labels"]) == (201, ["a"])
    assert client.ask("GET", "/_sandbox/jobs").json()["jobs"] == [queued.json()]
    assert [job.id for job in github.jobs()] == [queued.json()["id"]]


@pytest.mark.parametrize(
    "body", [{}, {"script": "", "repository": "x"}, {"no": 1}, {"script": "", "repository": 1}]
)
def test_a_senseless_job_is_refused(client: Client, body: dict[str, object]) -> None:
    assert client.ask("POST", "/_sandbox/jobs", json=body).status_code == 422


def test_runners_are_shown_without_their_secrets(client: Client, github: SandboxGitHub) -> None:
    client.jitconfig("one")
    answer = client.ask("GET", "/_sandbox/runners")
    assert [runner["name"] for runner in answer.json()["runners"]] == ["one"]
    assert github.runners()[0].token not in answer.text
    assert github.runners()[0].token not in repr(github.runners()[0])


def test_faults_can_be_ordered_from_outside(client: Client, broken_contract: None) -> None:
    order = {"path_pattern": "/orgs/*", "status": 503, "times": None}
    assert client.ask("POST", "/_sandbox/faults", json=order).status_code == 204
    assert client.ask("GET", "/orgs/acme").status_code == 503
    assert client.ask("DELETE", "/_sandbox/faults").status_code == 204
    assert client.ask("GET", "/orgs/acme").status_code == 200
    assert client.ask("POST", "/_sandbox/faults", json={}).status_code == 422


def test_strangers_are_kept_out(new_client: NewClient, github: SandboxGitHub) -> None:
    github.add_token("reader", "read")
    assert new_client(github.url, None).ask("GET", "/_sandbox/jobs").status_code == 401
    assert new_client(github.url, "wrong").ask("GET", "/_sandbox/jobs").status_code == 401
    assert new_client(github.url, "reader").ask("GET", "/_sandbox/jobs").status_code == 403


def test_a_fault_that_would_do_nothing_is_no_fault() -> None:
    with pytest.raises(ValueError, match="needs"):
        Fault("GET")
