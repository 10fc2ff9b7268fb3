"""Apps: how their JWT must be, and what an installation's token allows."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import github as pygithub
import jwt
import pytest

from sandbox.github import App, SandboxGitHub

if TYPE_CHECKING:
    import requests
    from conftest import NewClient

RUNNERS = "/orgs/acme/actions/runners"
NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


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


def _tokens(
    new_client: NewClient,
    github: SandboxGitHub,
    private_key: str,
    installation: int = 42,
    body: dict[str, Any] | None = None,
    **claims: Any,
) -> requests.Response:
    """Ask for an installation's token; claims that are durations count from the server's now."""
    now = github.hub.clock()
    whole = {"iss": "7", "iat": timedelta(0), "exp": timedelta(minutes=5)} | claims
    moments = {
        name: int((now + value).timestamp()) if isinstance(value, timedelta) else value
        for name, value in whole.items()
    }
    client = new_client(github.url, jwt.encode(moments, private_key, "RS256"))
    return client.ask("POST", f"/app/installations/{installation}/access_tokens", json=body)


ISSUED_AT = "'Issued at' claim ('iat') must be an Integer"
EXPIRATION = "'Expiration time' claim ('exp') must be a numeric value"


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ({"iss": "8"}, "A JSON web token could not be decoded"),
        ({"exp": timedelta(minutes=30)}, "'Expiration time' claim ('exp') is too far"),
        ({"exp": timedelta(seconds=-1)}, EXPIRATION),
        ({"iat": timedelta(seconds=30)}, ISSUED_AT),
        ({"iat": 1.5}, ISSUED_AT),
    ],
)
def test_an_apps_jwt_must_hold(
    new_client: NewClient,
    installed: SandboxGitHub,
    private_key: str,
    claims: dict[str, Any],
    message: str,
) -> None:
    answer = _tokens(new_client, installed, private_key, **claims)
    assert answer.status_code == 401
    assert answer.json()["message"].startswith(message)


def test_a_jwt_may_be_a_little_early(
    new_client: NewClient, installed: SandboxGitHub, private_key: str
) -> None:
    answer = _tokens(new_client, installed, private_key, iat=timedelta(seconds=4))
    assert answer.status_code == 201


def test_an_installation_of_nobody_or_of_another_app_is_not_found(
    new_client: NewClient, installed: SandboxGitHub, private_key: str
) -> None:
    assert _tokens(new_client, installed, private_key, 43).status_code == 404
    installed.remove_app(42)
    assert _tokens(new_client, installed, private_key).status_code == 401


def test_an_app_may_have_several_installations(
    new_client: NewClient, installed: SandboxGitHub, private_key: str, public_key: str
) -> None:
    installed.add_app(App(app_id=7, installation_id=43, public_key=public_key))
    assert _tokens(new_client, installed, private_key, 43).status_code == 201


@pytest.mark.parametrize(
    ("skew_minutes", "message"), [(6, EXPIRATION), (-2, ISSUED_AT), (-20, ISSUED_AT)]
)
def test_a_jwt_is_judged_by_the_servers_clock(
    installed: SandboxGitHub, private_key: str, skew_minutes: int, message: str
) -> None:
    installed.skew_clock(timedelta(minutes=skew_minutes))
    auth = pygithub.Auth.AppAuth(7, private_key).get_installation_auth(42)
    client = pygithub.Github(auth=auth, base_url=installed.url, retry=None)
    with pytest.raises(pygithub.GithubException) as refused:
        client.get_organization("acme")
    assert refused.value.status == 401
    assert str(refused.value.message).startswith(message)


def test_an_installations_token_expires_by_the_servers_clock(
    new_client: NewClient, installed: SandboxGitHub, private_key: str
) -> None:
    installed.skew_clock(timedelta(days=3))
    answer = _tokens(new_client, installed, private_key)
    expires_at = datetime.strptime(answer.json()["expires_at"], "%Y-%m-%dT%H:%M:%S%z")
    left = expires_at - installed.hub.clock()
    assert timedelta(minutes=59) < left <= timedelta(hours=1)
    client = new_client(installed.url, answer.json()["token"])
    assert client.ask("GET", RUNNERS).status_code == 200
    installed.skew_clock(timedelta(days=3, hours=1))
    assert client.ask("GET", RUNNERS).status_code == 401


@pytest.mark.parametrize(
    ("access", "level"), [("write", "write"), ("read", "read"), ("none", None)]
)
def test_an_installations_token_tells_its_permissions(
    new_client: NewClient,
    installed: SandboxGitHub,
    private_key: str,
    public_key: str,
    access: Any,
    level: str | None,
) -> None:
    installed.add_app(App(7, 42, public_key, access=access))
    document = _tokens(new_client, installed, private_key).json()
    permissions = document["permissions"]
    assert permissions.get("organization_self_hosted_runners") == level
    assert permissions.get("administration") == level
    client = new_client(installed.url, document["token"])
    refused = client.ask("POST", f"{RUNNERS}/registration-token")
    assert refused.status_code == (201 if level == "write" else 403)
    wanted = "organization_self_hosted_runners=write"
    assert refused.headers["X-Accepted-GitHub-Permissions"] == wanted
    if refused.status_code == 403:
        assert refused.json()["message"] == "Resource not accessible by integration"


def test_a_token_can_be_asked_for_with_less(
    new_client: NewClient, installed: SandboxGitHub, private_key: str
) -> None:
    body = {"permissions": {"organization_self_hosted_runners": "read"}}
    document = _tokens(new_client, installed, private_key, body=body).json()
    assert document["permissions"] == {
        "organization_self_hosted_runners": "read",
        "metadata": "read",
    }
    client = new_client(installed.url, document["token"])
    assert client.ask("GET", RUNNERS).status_code == 200
    assert client.ask("POST", f"{RUNNERS}/remove-token").status_code == 403


@pytest.mark.parametrize(
    "permissions", [{"packages": "write"}, {"metadata": "write"}, {"actions": ["read"]}, "all"]
)
def test_a_token_cannot_be_asked_for_with_more(
    new_client: NewClient, installed: SandboxGitHub, private_key: str, permissions: object
) -> None:
    body = {"permissions": permissions}
    assert _tokens(new_client, installed, private_key, body=body).status_code == 422


def test_a_suspended_installation_gets_and_may_nothing_until_it_is_taken_up_again(
    new_client: NewClient, installed: SandboxGitHub, private_key: str
) -> None:
    client = new_client(installed.url, _tokens(new_client, installed, private_key).json()["token"])
    installed.suspend(42)
    for refused in (_tokens(new_client, installed, private_key), client.ask("GET", RUNNERS)):
        assert refused.status_code == 403
        assert refused.json()["message"] == "This installation has been suspended"
    installed.suspend(42, suspended=False)
    assert client.ask("GET", RUNNERS).status_code == 200


def test_a_removed_installations_tokens_are_worth_nothing(
    new_client: NewClient, installed: SandboxGitHub, private_key: str
) -> None:
    client = new_client(installed.url, _tokens(new_client, installed, private_key).json()["token"])
    installed.remove_app(42)
    assert client.ask("GET", RUNNERS).status_code == 401


def test_asking_for_tokens_is_not_counted_as_anonymous(
    new_client: NewClient, installed: SandboxGitHub, private_key: str
) -> None:
    answer = _tokens(new_client, installed, private_key)
    assert int(answer.headers["x-ratelimit-limit"]) > 60
