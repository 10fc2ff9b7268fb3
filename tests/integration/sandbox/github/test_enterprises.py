"""Enterprises: runners that the repositories of several organisations share."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import TYPE_CHECKING, Any

import pytest
import requests

from sandbox.github import JobRequest

if TYPE_CHECKING:
    from conftest import Client

    from sandbox.github import SandboxGitHub

BIG = "/enterprises/big"
RUNNERS = f"{BIG}/actions/runners"
GROUPS = f"{BIG}/actions/runner-groups"


@pytest.fixture
def enterprise(github: SandboxGitHub) -> str:
    return github.add_enterprise("big", ["acme"])


def _jitconfig(client: Client, group_id: int, scope: str = BIG) -> requests.Response:
    body = {"name": f"one-{group_id}", "runner_group_id": group_id, "labels": ["x"]}
    return client.ask("POST", f"{scope}/actions/runners/generate-jitconfig", json=body)


def _groups_of(client: Client, scope: str) -> dict[str, Any]:
    listed = client.ask("GET", f"{scope}/actions/runner-groups").json()["runner_groups"]
    return {group["name"]: group for group in listed}


def test_an_enterprises_runner_lives_and_ends_as_any_other(
    client: Client, github: SandboxGitHub, enterprise: str
) -> None:
    document = client.jitconfig("one", BIG)
    files = json.loads(b64decode(document["encoded_jit_config"]))
    assert json.loads(b64decode(files[".runner"]))["gitHubUrl"] == f"{github.url}/enterprises/big"
    assert [runner.scope.name for runner in github.runners()] == [enterprise] == ["enterprises/big"]
    one = f"{RUNNERS}/{document['runner']['id']}"
    assert client.ask("GET", one).json() == document["runner"]
    assert client.ask("POST", f"{one}/labels", json={"labels": ["y"]}).json()["total_count"] == 2
    assert client.ask("DELETE", f"{one}/labels").json()["total_count"] == 1
    assert client.ask("DELETE", one).status_code == 204
    assert client.ask("GET", one).status_code == 404


@pytest.mark.parametrize("path", ["registration-token", "remove-token"])
def test_an_enterprise_gives_tokens_for_config_sh(
    client: Client, enterprise: str, path: str
) -> None:
    assert client.ask("POST", f"{RUNNERS}/{path}").status_code == 201


@pytest.mark.parametrize("path", ["downloads", "deprecations/2.336.0"])
def test_an_enterprise_tells_of_the_application(client: Client, enterprise: str, path: str) -> None:
    assert client.ask("GET", f"{RUNNERS}/{path}").status_code == 200


def test_an_enterprises_pages_are_linked_by_its_name(
    client: Client, github: SandboxGitHub, enterprise: str
) -> None:
    for number in range(3):
        github.add_runner(enterprise, f"runner-{number}")
    first = client.ask("GET", f"{RUNNERS}?per_page=2")
    assert first.links["next"]["url"].startswith(f"{github.url}{RUNNERS}?")
    second = client.session.get(first.links["next"]["url"], timeout=10)
    assert [runner["name"] for runner in second.json()["runners"]] == ["runner-2"]
    named = client.ask("GET", f"{RUNNERS}?name=runner-1").json()
    assert [runner["name"] for runner in named["runners"]] == ["runner-1"]
    assert client.ask("GET", f"{RUNNERS}?name=RUNNER-1").json()["total_count"] == 0


def test_scopes_of_one_name_are_kept_apart(client: Client, enterprise: str) -> None:
    assert client.ask("GET", "/orgs/big/actions/runners").status_code == 404
    assert client.ask("GET", "/repos/enterprises/big/actions/runners").status_code == 404
    assert client.ask("GET", "/enterprises/acme/actions/runners").status_code == 404
    with pytest.raises(AssertionError):
        client.jitconfig("one", "/enterprises/acme")


@pytest.mark.parametrize("name", ["enterprises", "a/b"])
def test_no_organisation_has_such_a_name(github: SandboxGitHub, name: str) -> None:
    with pytest.raises(ValueError, match="can be named"):
        github.add_organization(name)


def test_an_organisation_has_one_enterprise(github: SandboxGitHub, enterprise: str) -> None:
    with pytest.raises(ValueError, match="another enterprise"):
        github.add_enterprise("other", ["acme"])


def test_jobs_of_its_organisations_run_on_its_runners(
    client: Client, github: SandboxGitHub, enterprise: str
) -> None:
    runner = github.add_runner(enterprise, "one", ["x"], online=True)
    github.queue(JobRequest("true", "elsewhere/demo", labels=("x",)))
    assert github.hand_out(runner.id) is None
    queued = github.queue(JobRequest("true", "acme/demo", labels=("x",)))
    taken = github.hand_out(runner.id)
    assert taken is not None
    assert taken.id == queued.id
    shown = client.ask("GET", f"/repos/acme/demo/actions/jobs/{queued.id}").json()
    assert (shown["runner_name"], shown["runner_group_name"]) == ("one", "Default")
    refused = client.ask("DELETE", f"{RUNNERS}/{runner.id}")
    assert refused.status_code == 422


def test_a_selected_group_serves_its_organisations_only(
    github: SandboxGitHub, enterprise: str
) -> None:
    github.add_enterprise("big", ["other"])
    group = github.add_group(enterprise, "chosen", "selected", ["Other"])
    runner = github.add_runner(enterprise, "one", ["x"], group_id=group.id, online=True)
    github.queue(JobRequest("true", "acme/demo", labels=("x",)))
    assert github.hand_out(runner.id) is None
    github.queue(JobRequest("true", "other/demo", labels=("x",)))
    assert github.hand_out(runner.id) is not None


def test_an_enterprises_groups_can_be_made_changed_and_removed(
    client: Client, enterprise: str
) -> None:
    made = client.ask("POST", GROUPS, json={"name": "gpu", "visibility": "selected"})
    assert (made.status_code, made.json()["id"]) == (201, 2)
    assert made.json()["selected_organizations_url"].endswith(f"{GROUPS}/2/organizations")
    org_id = client.ask("GET", "/orgs/acme").json()["id"]
    assert client.ask("PUT", f"{GROUPS}/2/organizations/{org_id}").status_code == 204
    chosen = client.ask("GET", f"{GROUPS}/2/organizations").json()
    assert [organization["login"] for organization in chosen["organizations"]] == ["acme"]
    assert _visible(client, "acme") == ["Default", "gpu"]
    assert client.ask("DELETE", f"{GROUPS}/2/organizations/{org_id}").status_code == 204
    assert _visible(client, "acme") == ["Default"]
    body = {"selected_organization_ids": [org_id]}
    assert client.ask("PUT", f"{GROUPS}/2/organizations", json=body).status_code == 204
    assert _visible(client, "acme") == ["Default", "gpu"]
    changed = client.ask("PATCH", f"{GROUPS}/2", json={"visibility": "all"}).json()
    assert (changed["name"], changed["visibility"]) == ("gpu", "all")
    assert (
        client.ask("POST", GROUPS, json={"name": "x", "visibility": "private"}).status_code == 422
    )
    assert client.ask("DELETE", f"{GROUPS}/2").status_code == 204
    assert client.ask("GET", f"{GROUPS}/2").status_code == 404


def _visible(client: Client, organization: str) -> list[str]:
    listed = client.ask("GET", f"{GROUPS}?visible_to_organization={organization}").json()
    return [group["name"] for group in listed["runner_groups"]]


def test_an_organisation_inherits_the_groups_that_are_open_to_it(
    client: Client, github: SandboxGitHub, enterprise: str
) -> None:
    github.add_group(enterprise, "gpu")
    github.add_group(enterprise, "closed", "selected", ["other"])
    groups = _groups_of(client, "/orgs/acme")
    assert {name: group["inherited"] for name, group in groups.items()} == {
        "Default": False,
        "gpu": True,
    }
    inherited = f"/orgs/acme/actions/runner-groups/{groups['gpu']['id']}"
    assert client.ask("PATCH", inherited, json={"name": "mine"}).status_code == 403
    assert client.ask("DELETE", inherited).status_code == 403
    client.ask("DELETE", f"{GROUPS}/2")
    assert client.ask("GET", inherited).status_code == 404


def test_an_inherited_groups_runners_are_registered_in_the_enterprise(
    client: Client, github: SandboxGitHub, enterprise: str
) -> None:
    group = github.add_group(enterprise, "gpu")
    inherited = _groups_of(client, "/orgs/acme")["gpu"]["id"]
    assert _jitconfig(client, inherited, "/orgs/acme").status_code == 403
    assert _jitconfig(client, group.id).status_code == 201


def test_config_sh_registers_in_an_enterprise(
    client: Client, github: SandboxGitHub, enterprise: str
) -> None:
    token = client.ask("POST", f"{RUNNERS}/registration-token").json()["token"]
    for url, status in ((f"{github.url}/acme", 404), (f"{github.url}/enterprises/big", 201)):
        answer = client.ask(
            "POST",
            "/_runner/registration",
            headers={"Authorization": f"Bearer {token}"},
            data=f"url={url}\nname=one\nlabels=x\n",
        )
        assert answer.status_code == status
    assert [(runner.scope.name, runner.ephemeral) for runner in github.runners()] == [
        (enterprise, False)
    ]
