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


def _jitconfig(client: Client, group_id: int, scope: str = "/orgs/acme") -> int:
    body = {"name": "one", "runner_group_id": group_id, "labels": ["x"]}
    path = f"{scope}/actions/runners/generate-jitconfig"
    return client.ask("POST", path, json=body).status_code


def test_a_runner_joins_no_group_that_is_unknown_or_for_hosted_runners(
    client: Client, github: SandboxGitHub
) -> None:
    hosted = github.add_group("acme", "larger", hosted=True)
    assert _jitconfig(client, 99) == 404
    assert _jitconfig(client, hosted.id) == 403
    assert (
        client.ask("PUT", f"{GROUPS}/{hosted.id}/runners", json={"runners": []}).status_code == 403
    )
    assert github.runners() == ()


def test_a_repository_has_but_the_default_group(client: Client, github: SandboxGitHub) -> None:
    group = github.add_group("acme", "big")
    assert _jitconfig(client, group.id, "/repos/acme/demo") == 404
    assert _jitconfig(client, 1, "/repos/acme/demo") == 201


def test_runners_can_be_moved_between_groups(client: Client, github: SandboxGitHub) -> None:
    group = github.add_group("acme", "big")
    one, two = (github.add_runner("acme", name).id for name in ("one", "two"))
    inside = f"{GROUPS}/{group.id}/runners"
    assert client.ask("PUT", f"{inside}/{one}").status_code == 204
    assert _names(client, inside) == ["one"]
    assert client.ask("PUT", inside, json={"runners": [two]}).status_code == 204
    assert _names(client, inside) == ["two"]
    assert client.ask("DELETE", f"{inside}/{two}").status_code == 204
    assert _names(client, inside) == []
    assert client.ask("PUT", f"{inside}/99").status_code == 404
    assert client.ask("PUT", inside, json={"runners": ["x"]}).status_code == 422


def _names(client: Client, inside: str) -> list[str]:
    return [runner["name"] for runner in client.ask("GET", inside).json()["runners"]]


def test_repositories_can_be_chosen(client: Client, github: SandboxGitHub) -> None:
    group = github.add_group("acme", "chosen", "selected")
    number = client.ask("GET", "/repos/acme/demo").json()["id"]
    chosen = f"{GROUPS}/{group.id}/repositories"
    assert client.ask("PUT", f"{chosen}/{number}").status_code == 204
    assert _ids(client, "?visible_to_repository=demo") == [1, group.id]
    assert client.ask("PUT", chosen, json={"selected_repository_ids": []}).status_code == 204
    assert _ids(client, "?visible_to_repository=demo") == [1]
    assert client.ask("PUT", f"{chosen}/7").status_code == 404


def test_a_group_that_is_open_to_all_is_not_chosen_for(
    client: Client, github: SandboxGitHub, broken_contract: None
) -> None:
    group = github.add_group("acme", "open")
    body = {"selected_repository_ids": []}
    answer = client.ask("PUT", f"{GROUPS}/{group.id}/repositories", json=body)
    assert answer.status_code == 409
