"""Who may ask what, how often, and what an unchanged answer costs."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import github as pygithub
import jwt
import pytest

from sandbox.github import App, SandboxGitHub

if TYPE_CHECKING:
    from conftest import Client, NewClient

TOKEN = "made-up-token"

RUNNERS = "/orgs/acme/actions/runners"
NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def test_an_unknown_token_is_a_bad_credential(new_client: NewClient, github: SandboxGitHub) -> None:
    answer = new_client(github.url, "wrong").ask("GET", RUNNERS)
    assert (answer.status_code, answer.json()["message"]) == (401, "Bad credentials")


def test_no_token_is_asked_for_one(new_client: NewClient, github: SandboxGitHub) -> None:
    answer = new_client(github.url, None).ask("GET", RUNNERS)
    assert (answer.status_code, answer.json()["message"]) == (401, "Requires authentication")


@pytest.mark.parametrize("scheme", ["Bearer", "token", "TOKEN"])
def test_both_schemes_are_understood(
    new_client: NewClient, github: SandboxGitHub, scheme: str
) -> None:
    client = new_client(github.url, None)
    headers = {"Authorization": f"{scheme} {TOKEN}"}
    assert client.ask("GET", RUNNERS, headers=headers).status_code == 200


def test_a_token_that_may_only_read_cannot_register(
    new_client: NewClient, github: SandboxGitHub
) -> None:
    github.add_token("reader", "read")
    client = new_client(github.url, "reader")
    assert client.ask("GET", RUNNERS).status_code == 200
    refused = client.ask("POST", f"{RUNNERS}/registration-token")
    assert refused.status_code == 403
    assert refused.json()["message"] == "Resource not accessible by personal access token"


def test_a_token_without_any_scope_sees_the_organisation_only(
    new_client: NewClient, github: SandboxGitHub
) -> None:
    github.add_token("nobody", "none")
    client = new_client(github.url, "nobody")
    assert client.ask("GET", "/orgs/acme").status_code == 200
    assert client.ask("GET", RUNNERS).status_code == 403


def test_each_answer_tells_what_is_left(client: Client) -> None:
    first = int(client.ask("GET", RUNNERS).headers["x-ratelimit-remaining"])
    second = client.ask("GET", f"{RUNNERS}/77")
    assert int(second.headers["x-ratelimit-remaining"]) == first - 1
    assert second.headers["x-ratelimit-resource"] == "core"


def test_registrations_have_a_budget_of_their_own(client: Client) -> None:
    answer = client.ask("POST", f"{RUNNERS}/registration-token")
    assert answer.headers["x-ratelimit-resource"] == "actions_runner_registration"
    resources = client.ask("GET", "/rate_limit").json()["resources"]
    assert resources["actions_runner_registration"]["used"] == 1
    assert resources["core"]["used"] == 0


def test_asking_for_the_rate_limit_is_free(client: Client) -> None:
    for _ in range(3):
        answer = client.ask("GET", "/rate_limit")
    assert answer.json()["rate"]["used"] == 0


def test_an_exhausted_budget_refuses_until_it_is_renewed(new_client: NewClient) -> None:
    clock = Clock()
    with SandboxGitHub(token=TOKEN, rate_limit=2, clock=clock) as github:
        client = new_client(github.url)
        assert [client.ask("GET", RUNNERS).status_code for _ in range(3)] == [200, 200, 403]
        refused = client.ask("GET", RUNNERS)
        assert refused.json()["message"].startswith("API rate limit exceeded")
        assert refused.headers["x-ratelimit-remaining"] == "0"
        clock.now = datetime.fromtimestamp(int(refused.headers["x-ratelimit-reset"]), timezone.utc)
        assert client.ask("GET", RUNNERS).status_code == 200


def test_an_unchanged_answer_is_empty_and_costs_nothing(client: Client) -> None:
    first = client.ask("GET", RUNNERS)
    known = {"If-None-Match": first.headers["ETag"]}
    again = client.ask("GET", RUNNERS, headers=known)
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["x-ratelimit-used"] == first.headers["x-ratelimit-used"]
    client.jitconfig("one")
    assert client.ask("GET", RUNNERS, headers=known).status_code == 200


@pytest.fixture
def installed(github: SandboxGitHub, public_key: str) -> SandboxGitHub:
    github.add_app(App(app_id=7, installation_id=42, public_key=public_key))
    return github


def test_pygithub_works_as_an_installed_app(installed: SandboxGitHub, private_key: str) -> None:
    auth = pygithub.Auth.AppAuth(7, private_key).get_installation_auth(42)
    client = pygithub.Github(auth=auth, base_url=installed.url, retry=None)
    assert list(client.get_organization("acme").get_self_hosted_runners()) == []
    assert auth.token.startswith("ghs_7_")
    assert "." in auth.token


@pytest.mark.parametrize(
    ("claims", "installation", "status"),
    [
        ({}, 42, 201),
        ({}, 43, 404),
        ({"iss": "8"}, 42, 401),
        ({"exp": timedelta(minutes=30)}, 42, 401),
        ({"exp": timedelta(minutes=-1)}, 42, 401),
    ],
)
def test_an_apps_jwt_must_hold(
    new_client: NewClient,
    installed: SandboxGitHub,
    private_key: str,
    claims: dict[str, object],
    installation: int,
    status: int,
) -> None:
    now = installed.hub.clock()
    whole = {"iss": "7", "iat": now, "exp": timedelta(minutes=5)} | claims
    whole["exp"] = now + whole["exp"]  # type: ignore[operator]
    token = jwt.encode(whole, private_key, "RS256")
    client = new_client(installed.url, token)
    answer = client.ask("POST", f"/app/installations/{installation}/access_tokens")
    assert answer.status_code == status


def test_an_installations_token_expires(
    new_client: NewClient, private_key: str, public_key: str
) -> None:
    clock = Clock()
    clock.now = datetime.now(timezone.utc)
    with SandboxGitHub(clock=clock) as github:
        github.add_app(App(app_id=7, installation_id=42, public_key=public_key))
        claims = {"iss": "7", "iat": clock.now, "exp": clock.now + timedelta(minutes=5)}
        bearer = jwt.encode(claims, private_key, "RS256")
        answer = new_client(github.url, bearer).ask("POST", "/app/installations/42/access_tokens")
        client = new_client(github.url, answer.json()["token"])
        assert client.ask("GET", RUNNERS).status_code == 200
        clock.now += timedelta(hours=1)
        assert client.ask("GET", RUNNERS).status_code == 401
