from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from openapi_core.validation.response.exceptions import DataValidationError

from sandbox.github import Fault, JobRequest, SandboxGitHub

if TYPE_CHECKING:
    from conftest import Client, Contract, NewClient
SCOPES = ("/orgs/acme", "/repos/acme/demo")


@pytest.mark.parametrize("scope", SCOPES)
def test_a_registered_runner_is_listed_and_can_be_got_and_deleted(
    client: Client, contract: Contract, scope: str
) -> None:
    registered = client.jitconfig("one", scope)["runner"]
    listing = client.ask("GET", f"{scope}/actions/runners").json()
    assert listing == {"total_count": 1, "runners": [registered]}
    path = f"{scope}/actions/runners/{registered['id']}"
    assert client.ask("GET", path).json() == registered
    deleted = client.ask("DELETE", path)
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert client.ask("GET", path).status_code == 404
    assert client.ask("DELETE", path).status_code == 404
    assert contract.checked == 6


def test_a_just_in_time_runner_looks_as_github_records_it(client: Client) -> None:
    runner = client.jitconfig("one", labels=("a", "b"))["runner"]
    assert (runner["os"], runner["status"], runner["busy"]) == ("unknown", "offline", False)
    assert runner["version"] is None
    assert [(label["name"], label["type"]) for label in runner["labels"]] == [
        ("a", "read-only"),
        ("b", "read-only"),
    ]


def test_the_scopes_do_not_see_each_others_runners(client: Client) -> None:
    number = client.jitconfig("one")["runner"]["id"]
    client.jitconfig("one", "/repos/acme/demo")
    assert client.ask("GET", f"/repos/acme/demo/actions/runners/{number}").status_code == 404
    assert client.ask("GET", "/orgs/acme/actions/runners").json()["total_count"] == 1


def test_pages_are_tied_by_links_that_name_the_scope_by_number(client: Client) -> None:
    for number in range(5):
        client.jitconfig(f"runner-{number}")
    answer = client.ask("GET", "/orgs/acme/actions/runners?per_page=2")
    names: list[str] = []
    pages = 1
    while True:
        names += [runner["name"] for runner in answer.json()["runners"]]
        if "next" not in answer.links:
            break
        following = answer.links["next"]["url"]
        assert re.match(rf"{client.url}/organizations/\d+/actions/runners\?", following)
        answer = client.ask("GET", following.removeprefix(client.url))
        pages += 1
    assert (pages, names) == (3, [f"runner-{number}" for number in range(5)])
    assert set(answer.links) == {"prev", "first"}


def test_links_carry_the_address_by_which_the_client_came(
    new_client: NewClient, github: SandboxGitHub
) -> None:
    client = new_client(github.url_at("localhost"))
    for number in range(2):
        client.jitconfig(f"runner-{number}")
    answer = client.ask("GET", "/orgs/acme/actions/runners?per_page=1")
    assert answer.links["next"]["url"].startswith(f"http://localhost:{github.port}/")


@pytest.mark.parametrize("query", ["per_page=null", "per_page=0", "page=-1", "page=x&per_page=٣"])
def test_a_senseless_page_is_read_as_the_default(
    client: Client, query: str, broken_contract: None
) -> None:
    client.jitconfig("one")
    answer = client.ask("GET", f"/orgs/acme/actions/runners?{query}")
    assert (answer.status_code, len(answer.json()["runners"])) == (200, 1)


def test_a_page_beyond_the_last_is_empty(client: Client) -> None:
    client.jitconfig("one")
    answer = client.ask("GET", "/orgs/acme/actions/runners?page=9").json()
    assert answer == {"total_count": 1, "runners": []}


def test_no_page_holds_more_than_a_hundred(client: Client) -> None:
    for number in range(101):
        client.jitconfig(f"runner-{number}")
    answer = client.ask("GET", "/orgs/acme/actions/runners?per_page=500")
    assert len(answer.json()["runners"]) == 100


def test_a_name_finds_exactly_that_runner(client: Client) -> None:
    for name in ("one", "one-more"):
        client.jitconfig(name)
    answer = client.ask("GET", "/orgs/acme/actions/runners?name=one").json()
    assert [runner["name"] for runner in answer["runners"]] == ["one"]
    assert client.ask("GET", "/orgs/acme/actions/runners?name=on").json()["total_count"] == 0


def test_a_busy_runner_cannot_be_deleted(client: Client, github: SandboxGitHub) -> None:
    runner_id = client.jitconfig("one")["runner"]["id"]
    with github.hub.change() as state:
        runner = state.runner(runner_id)
        assert runner is not None
        state.open_session(runner.token, github.hub.clock())
        state.queue(JobRequest(script="true", repository="acme/demo"), github.hub.clock())
        state.hand_out(runner_id, github.hub.clock())
    shown = client.ask("GET", f"/orgs/acme/actions/runners/{runner_id}").json()
    assert (shown["status"], shown["busy"], shown["os"]) == ("online", True, "linux")
    refused = client.ask("DELETE", f"/orgs/acme/actions/runners/{runner_id}")
    assert refused.status_code == 422
    assert "one is currently running a job" in refused.json()["message"]


def test_a_taken_name_conflicts_whatever_its_case(client: Client) -> None:
    client.jitconfig("one")
    body = {"name": "ONE", "runner_group_id": 1, "labels": ["x"]}
    answer = client.ask("POST", "/orgs/acme/actions/runners/generate-jitconfig", json=body)
    assert answer.status_code == 409
    assert answer.json()["message"].startswith("Already exists - A runner with the name ONE")


GOOD = {"name": "one", "runner_group_id": 1, "labels": ["x"]}


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"name": None}, 422, "missing required key: name"),
        ({"name": "  "}, 422, "name must be"),
        ({"name": "x" * 65}, 422, "longer than 64"),
        ({"runner_group_id": None}, 422, "missing required key: runner_group_id"),
        ({"runner_group_id": "1"}, 422, "runner_group_id must be an integer"),
        ({"runner_group_id": 99}, 404, "Not Found"),
        ({"labels": None}, 422, "labels"),
        ({"labels": []}, 422, "1 to 100"),
        ({"labels": [str(n) for n in range(101)]}, 422, "1 to 100"),
        ({"labels": [1]}, 422, "array of strings"),
        ({"work_folder": 7}, 422, "work_folder"),
    ],
)
def test_a_senseless_registration_is_refused(
    client: Client, change: dict[str, object], status: int, message: str
) -> None:
    body = {key: value for key, value in (GOOD | change).items() if value is not None}
    answer = client.ask("POST", "/orgs/acme/actions/runners/generate-jitconfig", json=body)
    assert (answer.status_code, message in answer.json()["message"]) == (status, True)
    assert client.ask("GET", "/orgs/acme/actions/runners").json()["total_count"] == 0


def test_a_body_that_is_no_json_is_refused(client: Client) -> None:
    path = "/orgs/acme/actions/runners/generate-jitconfig"
    assert client.ask("POST", path, data="{").status_code == 400
    assert client.ask("POST", path, data="[]").status_code == 422


@pytest.mark.parametrize("scope", ["/orgs/nobody", "/repos/acme/nothing", "/organizations/1"])
def test_what_does_not_exist_is_not_found(client: Client, scope: str) -> None:
    assert client.ask("GET", f"{scope}/actions/runners").status_code == 404


@pytest.mark.parametrize("path", ["/nowhere", "/orgs/acme/actions/runners/0x1"])
def test_an_unknown_path_is_answered_in_githubs_words(
    client: Client, broken_contract: None, path: str
) -> None:
    answer = client.ask("GET", path)
    assert (answer.status_code, answer.json()["message"]) == (404, "Not Found")


@pytest.mark.parametrize("scope", SCOPES)
def test_custom_labels_come_and_go_but_a_runners_own_stay(client: Client, scope: str) -> None:
    number = client.jitconfig("one", scope, ("own",))["runner"]["id"]
    labels = f"{scope}/actions/runners/{number}/labels"

    def names(method: str, path: str = labels, **body: object) -> list[str]:
        answer = client.ask(method, path, **({"json": body} if body else {}))
        assert answer.status_code == 200, answer.text
        assert answer.json()["total_count"] == len(answer.json()["labels"])
        return [label["name"] for label in answer.json()["labels"]]

    assert names("GET") == ["own"]
    assert names("POST", labels=["a", "b", "OWN"]) == ["own", "a", "b"]
    assert names("DELETE", f"{labels}/A") == ["own", "b"]
    assert names("PUT", labels=["c"]) == ["own", "c"]
    assert names("DELETE") == ["own"]
    assert names("PUT", labels=[]) == ["own"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("DELETE", "/absent", None, 404),
        ("DELETE", "/own", None, 422),
        ("POST", "", {"labels": []}, 422),
        ("POST", "", {}, 422),
        ("PUT", "", {"labels": [""]}, 422),
        ("POST", "", {"labels": [str(number) for number in range(100)]}, 422),
    ],
)
def test_a_senseless_change_of_labels_is_refused(
    client: Client, method: str, path: str, body: object, status: int
) -> None:
    number = client.jitconfig("one", labels=("own",))["runner"]["id"]
    labels = f"/orgs/acme/actions/runners/{number}/labels"
    assert client.ask(method, labels + path, json=body).status_code == status
    assert client.ask("GET", labels).json()["total_count"] == 1


def test_labels_of_no_runner_are_not_found(client: Client) -> None:
    assert client.ask("GET", "/orgs/acme/actions/runners/77/labels").status_code == 404


def test_the_contract_notices_a_wrong_answer(client: Client, github: SandboxGitHub) -> None:
    """Show that the check of all these tests can fail at all."""
    github.faults.add(Fault(status=200, method="GET"))
    with pytest.raises(DataValidationError):
        client.ask("GET", "/orgs/acme/actions/runners")
