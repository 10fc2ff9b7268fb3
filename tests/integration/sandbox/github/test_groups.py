from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conftest import Client

    from sandbox.github import SandboxGitHub

GROUPS = "/orgs/acme/actions/runner-groups"


def _ids(client: Client, query: str = "") -> list[int]:
    answer = client.ask("GET", GROUPS + query)
    return [group["id"] for group in answer.json()["runner_groups"]]


def test_an_organisation_begins_with_its_default_group(client: Client) -> None:
    group = client.ask("GET", f"{GROUPS}/1").json()
    assert (group["name"], group["default"], group["visibility"]) == ("Default", True, "all")
    assert _ids(client) == [1]


def test_a_group_can_be_made_changed_and_removed(client: Client) -> None:
    made = client.ask("POST", GROUPS, json={"name": "big", "visibility": "private"})
    assert (made.status_code, made.json()["id"]) == (201, 2)
    changed = client.ask("PATCH", f"{GROUPS}/2", json={"name": "bigger"}).json()
    assert (changed["name"], changed["visibility"]) == ("bigger", "private")
    assert client.ask("DELETE", f"{GROUPS}/2").status_code == 204
    assert client.ask("GET", f"{GROUPS}/2").status_code == 404


def test_a_removed_groups_runners_fall_back_to_the_default(
    client: Client, github: SandboxGitHub
) -> None:
    group = github.add_group("acme", "big")
    body = {"name": "one", "runner_group_id": group.id, "labels": ["x"]}
    client.ask("POST", "/orgs/acme/actions/runners/generate-jitconfig", json=body)
    inside = client.ask("GET", f"{GROUPS}/{group.id}/runners").json()
    assert [runner["name"] for runner in inside["runners"]] == ["one"]
    client.ask("DELETE", f"{GROUPS}/{group.id}")
    assert client.ask("GET", f"{GROUPS}/1/runners").json()["total_count"] == 1


def test_a_repository_sees_only_the_groups_it_may_use(
    client: Client, github: SandboxGitHub
) -> None:
    github.add_repository("acme/other")
    group = github.add_group("acme", "chosen", "selected", ["acme/demo"])
    assert _ids(client, "?visible_to_repository=demo") == [1, group.id]
    assert _ids(client, "?visible_to_repository=acme/other") == [1]
    chosen = client.ask("GET", f"{GROUPS}/{group.id}/repositories").json()
    assert [repository["full_name"] for repository in chosen["repositories"]] == ["acme/demo"]


def test_what_makes_no_sense_is_refused(client: Client) -> None:
    assert client.ask("GET", f"{GROUPS}/9").status_code == 404
    assert client.ask("POST", GROUPS, json={"name": ""}).status_code == 422
    assert client.ask("POST", GROUPS, json={"name": "x", "visibility": "y"}).status_code == 422
    assert client.ask("DELETE", f"{GROUPS}/1").status_code == 403


def test_a_taken_groups_name_conflicts(client: Client, broken_contract: None) -> None:
    assert client.ask("POST", GROUPS, json={"name": "default"}).status_code == 409
