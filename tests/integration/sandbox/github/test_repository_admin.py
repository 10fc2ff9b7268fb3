"""What other processes may set of repositories, by the sandbox's own API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Client, NewClient

    from sandbox.github import SandboxGitHub

DEMO = "/repos/acme/demo"
PLACE = "/_sandbox/repositories/acme/demo"


def _set(client: Client, method: str, path: str, status: int, **body: Any) -> Any:
    answer = client.ask(method, PLACE + path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


def test_a_repository_can_be_set_up_from_outside(client: Client, github: SandboxGitHub) -> None:
    _set(client, "PATCH", "", 200, private=True, default_branch="trunk")
    shown = client.ask("GET", DEMO).json()
    assert (shown["private"], shown["default_branch"]) == (True, "trunk")
    assert client.ask("GET", PLACE).json()["default_branch"] == "trunk"
    _set(client, "POST", "/forks", 201, fork="mallory/copy")
    assert client.ask("GET", "/repos/mallory/copy").json()["fork"] is True


def test_branches_can_be_protected_from_outside(client: Client) -> None:
    reviews = {"approvals": 2, "bypass_users": ["eve"]}
    made = _set(
        client, "PUT", "/branches/feature/x", 200, sha="a" * 40, protection={"reviews": reviews}
    )
    assert made["protection"]["reviews"]["bypass_users"] == ["eve"]
    branch = client.ask("GET", f"{DEMO}/branches/feature/x").json()
    assert (branch["protected"], branch["commit"]["sha"]) == (True, "a" * 40)
    _set(client, "PUT", "/branches/feature/x", 200, protection={"reviews": None})
    shown = client.ask("GET", f"{DEMO}/branches/feature/x/protection").json()
    assert "required_pull_request_reviews" not in shown
    _set(client, "PUT", "/branches/feature/x", 200, protection=None)
    assert client.ask("GET", f"{DEMO}/branches/feature/x").json()["protected"] is False
    _set(client, "DELETE", "/branches/feature/x", 204)
    assert client.ask("GET", f"{DEMO}/branches/feature/x").status_code == 404


def test_rulesets_can_be_added_and_removed_from_outside(client: Client) -> None:
    body = {"rules": [{"type": "deletion"}], "include": ["~ALL"]}
    added = _set(client, "POST", "/rulesets", 201, **body)
    (rule,) = client.ask("GET", f"{DEMO}/rules/branches/main").json()
    assert (rule["type"], rule["ruleset_id"]) == ("deletion", added["id"])
    _set(client, "DELETE", f"/rulesets/{added['id']}", 204)
    assert client.ask("GET", f"{DEMO}/rules/branches/main").json() == []


def test_roles_can_be_given_and_taken_from_outside(client: Client) -> None:
    _set(client, "PUT", "/collaborators/dora", 200, role="triage", affiliation="outside")
    (person,) = client.ask("GET", f"{DEMO}/collaborators?affiliation=outside").json()
    assert (person["login"], person["role_name"]) == ("dora", "triage")
    _set(client, "DELETE", "/collaborators/dora", 204)
    assert client.ask("GET", f"{DEMO}/collaborators").json() == []


def test_pull_requests_can_be_opened_and_discussed_from_outside(
    client: Client, github: SandboxGitHub
) -> None:
    pull = _set(client, "POST", "/pulls", 201, head="mallory/demo:feature", title="Mine")
    assert pull["number"] == 1
    _set(client, "POST", "/pulls/1/comments", 201, author="dora", body="fine")
    _set(client, "POST", "/pulls/1/reviews", 201, author="dora", review="APPROVED")
    (comment,) = client.ask("GET", f"{DEMO}/issues/1/comments").json()
    (review,) = client.ask("GET", f"{DEMO}/pulls/1/reviews").json()
    assert (comment["body"], review["state"]) == ("fine", "APPROVED")
    _set(client, "PATCH", "/pulls/1", 200, merged=True)
    shown = client.ask("GET", f"{DEMO}/pulls/1").json()
    assert (shown["title"], shown["state"], shown["merged"]) == ("Mine", "closed", True)
    body = {"script": "true", "repository": "acme/demo", "event": "pull_request", "pull": 1}
    assert client.ask("POST", "/_sandbox/jobs", json=body).json()["head_ref"] == "feature"
    assert '"number": 1' in github.jobs()[0].payload


def test_a_jobs_payload_may_be_given_as_json(client: Client, github: SandboxGitHub) -> None:
    body = {"script": "true", "repository": "acme/demo", "payload": {"a": 1}}
    assert client.ask("POST", "/_sandbox/jobs", json=body).status_code == 201
    assert github.jobs()[0].payload == '{"a": 1}'


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "", {"public": True}),
        ("PUT", "/branches/main", {"protected": True}),
        ("PUT", "/branches/main", {"protection": {"reviews": {"count": 1}}}),
        ("PUT", "/branches/main", {"protection": True}),
        ("PUT", "/branches/main", {"protection": {"reviews": 2}}),
        ("POST", "/rulesets", {"name": "x"}),
        ("PUT", "/collaborators/dora", {"role": "push"}),
        ("PUT", "/collaborators/dora", {"affiliation": "inside"}),
        ("POST", "/pulls", {"title": "no head"}),
    ],
)
def test_a_senseless_setting_is_refused_and_changes_nothing(
    client: Client, method: str, path: str, body: dict[str, object]
) -> None:
    before = client.ask("GET", PLACE).json()
    _set(client, method, path, 422, **body)
    assert client.ask("GET", PLACE).json() == before


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/branches/nowhere"),
        ("DELETE", "/rulesets/7"),
        ("DELETE", "/collaborators/nobody"),
        ("PATCH", "/pulls/7"),
    ],
)
def test_what_does_not_exist_is_not_found(client: Client, method: str, path: str) -> None:
    _set(client, method, path, 404)


def test_a_job_of_a_pull_request_that_does_not_exist_is_refused(client: Client) -> None:
    body = {"script": "true", "repository": "acme/demo", "event": "pull_request"}
    for pull in (None, 7):
        answer = client.ask("POST", "/_sandbox/jobs", json={**body, "pull": pull})
        assert answer.status_code == 422
    assert client.ask("GET", "/_sandbox/jobs").json()["jobs"] == []


def test_strangers_change_nothing(new_client: NewClient, github: SandboxGitHub) -> None:
    github.add_token("reader", "read")
    for token, status in ((None, 401), ("wrong", 401), ("reader", 403)):
        answer = new_client(github.url, token).ask("PATCH", PLACE, json={"private": True})
        assert answer.status_code == status
    assert github.repository("acme/demo").private is False
