"""Who may ask what, how often, and what an unchanged answer costs."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import pytest

from sandbox.github import SandboxGitHub

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


def test_a_token_that_ends_says_so_and_then_ends(
    new_client: NewClient, github: SandboxGitHub
) -> None:
    github.add_token("ending", expires_at=github.hub.clock() + timedelta(minutes=1))
    github.add_token("dated", expires_at=datetime(2126, 12, 1, tzinfo=timezone.utc))
    client = new_client(github.url, "ending")
    header = "github-authentication-token-expiration"
    assert header in client.ask("GET", RUNNERS).headers
    github.skew_clock(timedelta(minutes=2))
    refused = client.ask("GET", RUNNERS)
    assert (refused.status_code, refused.json()["message"]) == (401, "Bad credentials")
    dated = new_client(github.url, "dated").ask("GET", RUNNERS)
    assert dated.headers[header] == "2126-12-01 00:00:00 UTC"
    assert header not in new_client(github.url).ask("GET", RUNNERS).headers


def test_a_revoked_token_is_a_bad_credential(client: Client, github: SandboxGitHub) -> None:
    github.revoke(TOKEN)
    refused = client.ask("GET", RUNNERS)
    assert (refused.status_code, refused.json()["message"]) == (401, "Bad credentials")
    github.add_token(TOKEN)
    assert client.ask("GET", RUNNERS).status_code == 200


PLACES = [
    ("/orgs/acme", "admin:org", "organization_self_hosted_runners"),
    ("/repos/acme/demo", "repo", "administration"),
    ("/enterprises/big", "manage_runners:enterprise", "enterprise_self_hosted_runners"),
]


@pytest.mark.parametrize(("place", "scope", "permission"), PLACES)
def test_a_classic_token_is_told_the_scope_it_lacks(
    new_client: NewClient, github: SandboxGitHub, place: str, scope: str, permission: str
) -> None:
    github.add_enterprise("big", ["acme"])
    github.add_token("ghp_enough", scopes=[scope])
    github.add_token("ghp_wrong", scopes=["gist", "read:org"])
    path = f"{place}/actions/runners"
    enough = new_client(github.url, "ghp_enough").ask("GET", path)
    assert enough.status_code == 200
    assert enough.headers["X-OAuth-Scopes"] == scope
    refused = new_client(github.url, "ghp_wrong").ask("GET", path)
    assert refused.status_code == 403
    assert refused.headers["X-OAuth-Scopes"] == "gist, read:org"
    assert refused.headers["X-Accepted-OAuth-Scopes"] == scope
    assert "X-Accepted-GitHub-Permissions" not in refused.headers


def test_a_classic_token_without_named_scopes_has_what_its_access_says(
    new_client: NewClient, github: SandboxGitHub
) -> None:
    github.add_token("ghp_all")
    github.add_token("ghp_reader", "read")
    assert new_client(github.url, "ghp_all").ask("GET", RUNNERS).status_code == 200
    refused = new_client(github.url, "ghp_reader").ask("GET", RUNNERS)
    assert refused.status_code == 403
    assert refused.json()["message"].startswith("You must be an org admin")


def test_the_scope_of_an_enterprises_admin_includes_its_runners(
    new_client: NewClient, github: SandboxGitHub
) -> None:
    github.add_enterprise("big")
    github.add_token("ghp_admin", scopes=["admin:enterprise"])
    path = "/enterprises/big/actions/runners"
    assert new_client(github.url, "ghp_admin").ask("GET", path).status_code == 200


@pytest.mark.parametrize(("place", "scope", "permission"), PLACES)
@pytest.mark.parametrize(("method", "level"), [("GET", "read"), ("DELETE", "write")])
def test_a_fine_grained_token_is_told_the_permission_it_lacks(
    new_client: NewClient,
    github: SandboxGitHub,
    place: str,
    scope: str,
    permission: str,
    method: str,
    level: str,
) -> None:
    github.add_token("github_pat_nobody", "none")
    client = new_client(github.url, "github_pat_nobody")
    refused = client.ask(method, f"{place}/actions/runners/1")
    assert refused.status_code == 403
    assert refused.json()["message"] == "Resource not accessible by personal access token"
    assert refused.headers["X-Accepted-GitHub-Permissions"] == f"{permission}={level}"
    assert "X-OAuth-Scopes" not in refused.headers


def test_every_answer_is_dated_by_the_servers_clock(client: Client, github: SandboxGitHub) -> None:
    for skew in (timedelta(hours=2), timedelta(hours=-2)):
        github.skew_clock(skew)
        for path in (RUNNERS, "/orgs/nobody", "/_sandbox/jobs"):
            shown = parsedate_to_datetime(client.ask("GET", path).headers["Date"])
            assert abs(shown - (datetime.now(timezone.utc) + skew)) < timedelta(seconds=30)


def test_the_budgets_reset_is_told_by_the_servers_clock(
    client: Client, github: SandboxGitHub
) -> None:
    github.skew_clock(timedelta(days=1))
    reset = int(client.ask("GET", RUNNERS).headers["x-ratelimit-reset"])
    left = datetime.fromtimestamp(reset, timezone.utc) - github.hub.clock()
    assert timedelta(minutes=59) < left <= timedelta(hours=1)


def test_the_clock_can_be_wrong_from_the_start() -> None:
    with SandboxGitHub(clock_skew=timedelta(hours=1)) as github:
        ahead = github.hub.clock() - datetime.now(timezone.utc)
    assert timedelta(minutes=59) < ahead < timedelta(minutes=61)


def test_too_many_points_within_a_minute_are_refused_until_it_is_over(
    new_client: NewClient,
) -> None:
    clock = Clock()
    with SandboxGitHub(token=TOKEN, secondary_limit=7, clock=clock) as github:
        client = new_client(github.url)
        assert client.ask("GET", RUNNERS).status_code == 200
        assert client.ask("POST", f"{RUNNERS}/remove-token").status_code == 201
        clock.now += timedelta(seconds=20)
        refused = client.ask("POST", f"{RUNNERS}/remove-token")
        assert refused.status_code == 403
        assert refused.json()["message"].startswith("You have exceeded a secondary rate limit")
        assert refused.headers["Retry-After"] == "40"
        assert client.ask("GET", RUNNERS).status_code == 200
        assert client.ask("GET", RUNNERS).status_code == 403
        assert refused.headers["x-ratelimit-remaining"] != "0"
        clock.now += timedelta(seconds=40)
        assert client.ask("POST", f"{RUNNERS}/remove-token").status_code == 201


def test_an_enterprise_server_may_count_nothing(new_client: NewClient) -> None:
    with SandboxGitHub(token=TOKEN, rate_limit=None) as github:
        client = new_client(github.url + "/api/v3")
        answer = client.ask("GET", RUNNERS)
        again = client.ask("GET", RUNNERS, headers={"If-None-Match": answer.headers["ETag"]})
        assert (answer.status_code, again.status_code) == (200, 304)
        assert not [name for name in answer.headers if name.lower().startswith("x-ratelimit")]
        refused = client.ask("GET", "/rate_limit")
        assert refused.status_code == 404
        assert refused.json()["message"] == "Rate limiting is not enabled."
