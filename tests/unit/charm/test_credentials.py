"""The credentials: exactly one for GitHub, as an option or as a secret of Juju's."""

from typing import Any

import pytest
from charm_world import EVENTS, World
from ops import testing
from ops.testing import ActiveStatus, BlockedStatus

KEY = "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----"
APP = {"github_app_client_id": "Iv23liAbCdEf", "github_app_installation_id": 678}
GRANTED = "secret:d0erdgfmp25c762i8np0"


def configured(world: World, **config: Any) -> World:
    world.set(**config)
    world.run(world.ctx.on.config_changed())
    return world


def test_a_plain_token_is_taken(deployed: World) -> None:
    assert deployed.machine.credentials == {"token": "ghp_secret"}
    assert deployed.machine.document["token-file"] == "$CREDENTIALS_DIRECTORY/token"
    assert "app" not in deployed.machine.document


@pytest.mark.parametrize("key", ["github-token", "token"])
def test_a_token_is_taken_from_a_secret(deployed: World, key: str) -> None:
    secret = testing.Secret({key: " ghp_granted\n"})
    configured(deployed, token=None, token_secret_id=deployed.add(secret))
    assert deployed.machine.credentials == {"token": "ghp_granted"}
    assert isinstance(deployed.status, ActiveStatus)


def test_a_github_app_is_taken(deployed: World) -> None:
    secret = testing.Secret({"private-key": KEY})
    configured(deployed, token=None, github_app_private_key_secret_id=deployed.add(secret), **APP)
    assert deployed.machine.credentials == {"app.pem": KEY}
    assert deployed.machine.document["app"] == {
        "id": "Iv23liAbCdEf",
        "installation-id": 678,
        "private-key-file": "$CREDENTIALS_DIRECTORY/app.pem",
    }
    assert "token-file" not in deployed.machine.document
    assert isinstance(deployed.status, ActiveStatus)


def test_a_number_will_do_for_a_github_app(deployed: World) -> None:
    secret = testing.Secret({"private-key": KEY})
    config = {**APP, "github_app_client_id": "12345"}
    configured(
        deployed, token=None, github_app_private_key_secret_id=deployed.add(secret), **config
    )
    assert isinstance(deployed.status, ActiveStatus)


def test_a_secret_s_new_revision_is_taken_when_juju_tells_of_it(deployed: World) -> None:
    secret = testing.Secret({"github-token": "ghp_old"}, latest_content={"github-token": "ghp_new"})
    configured(deployed, token=None, token_secret_id=deployed.add(secret))
    deployed.run(deployed.ctx.on.secret_changed(deployed.state.get_secret(id=secret.id)))
    assert deployed.machine.credentials == {"token": "ghp_new"}


@pytest.mark.parametrize("name", [name for name in EVENTS if name != "secret-changed"])
def test_a_secret_s_new_revision_is_taken_by_each_event(deployed: World, name: str) -> None:
    secret = testing.Secret({"github-token": "ghp_old"}, latest_content={"github-token": "ghp_new"})
    deployed.set(token=None, token_secret_id=deployed.add(secret))
    deployed.run(EVENTS[name](deployed))
    assert deployed.machine.credentials == {"token": "ghp_new"}


def test_a_secret_that_is_not_granted_is_told_with_the_command_until_it_is(
    deployed: World,
) -> None:
    configured(deployed, token=None, token_secret_id=GRANTED)
    assert deployed.status == BlockedStatus(
        "token-secret-id: secret:d0erdgfmp25c762i8np0 is not there, or is not granted to runners; "
        "`juju grant-secret secret:d0erdgfmp25c762i8np0 runners`; "
        "the daemon keeps its last good configuration"
    )
    assert deployed.machine.credentials == {"token": "ghp_secret"}

    deployed.add(testing.Secret({"github-token": "ghp_granted"}, id=GRANTED))
    deployed.run(deployed.ctx.on.update_status())
    assert deployed.machine.credentials == {"token": "ghp_granted"}
    assert isinstance(deployed.status, ActiveStatus)


def test_a_secret_that_is_taken_back_stops_no_daemon(deployed: World) -> None:
    secret = testing.Secret({"github-token": "ghp_granted"})
    configured(deployed, token=None, token_secret_id=deployed.add(secret))
    deployed.state = testing.State(
        config=deployed.state.config,
        storages=deployed.state.storages,
        stored_states=deployed.state.stored_states,
    )
    deployed.run(deployed.ctx.on.update_status())
    assert isinstance(deployed.status, BlockedStatus)
    assert deployed.machine.running
    assert deployed.machine.credentials == {"token": "ghp_granted"}


@pytest.mark.parametrize(
    ("option", "key"),
    [
        ("token-secret-id", "github-token"),
        ("github-app-private-key-secret-id", "private-key"),
        ("repo-policy-compliance-token-secret-id", "token"),
    ],
)
@pytest.mark.parametrize("content", [{"another-key": "x"}, {"another-key": "x", "KEY": "  "}])
def test_a_secret_without_its_key_is_told_with_the_command(
    deployed: World, option: str, key: str, content: dict[str, str]
) -> None:
    content = {key if name == "KEY" else name: value for name, value in content.items()}
    address = deployed.add(testing.Secret(content))
    others = {
        "token-secret-id": {"token": None},
        "github-app-private-key-secret-id": {"token": None, **APP},
        "repo-policy-compliance-token-secret-id": {
            "repo_policy_compliance_url": "https://policy.example.com"
        },
    }
    configured(deployed, **others[option], **{option.replace("-", "_"): address})
    assert deployed.status.message.startswith(
        f"{option}: {address} has no `{key}`; `juju update-secret {address} {key}#file=FILE`"
    )
    assert isinstance(deployed.status, BlockedStatus)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (
            {"token": None},
            (
                "there is no credential for GitHub; `juju config runners token-secret-id=SECRET`, "
                "or the three options github-app-*"
            ),
        ),
        (
            {"token_secret_id": GRANTED},
            (
                "token and token-secret-id: only one of them can be used; keep one, for example "
                "`juju config runners --reset token`"
            ),
        ),
        (
            {"github_app_client_id": "Iv23li"},
            (
                "token and the GitHub App: only one of them can be used; keep one, for example "
                "`juju config runners --reset token`"
            ),
        ),
        (
            {"token": "", "github_app_client_id": "Iv23li"},
            (
                "github-app-installation-id and github-app-private-key-secret-id: the GitHub App "
                "needs it, too; `juju config runners github-app-installation-id=VALUE`"
            ),
        ),
        (
            {"token": " ", "github_app_private_key_secret_id": GRANTED},
            (
                "github-app-client-id and github-app-installation-id: the GitHub App "
                "needs it, too; `juju config runners github-app-client-id=VALUE`"
            ),
        ),
        (
            {
                "repo_policy_compliance_url": "https://policy.example.com",
                "repo_policy_compliance_token": "x",
                "repo_policy_compliance_token_secret_id": GRANTED,
            },
            (
                "repo-policy-compliance-token and repo-policy-compliance-token-secret-id: only one "
                "of them can be used; `juju config runners --reset repo-policy-compliance-token`"
            ),
        ),
    ],
)
def test_a_choice_that_is_none_is_told_in_one_sentence(
    deployed: World, config: dict[str, Any], sentence: str
) -> None:
    deployed.add(testing.Secret({"github-token": "ghp_x", "token": "y"}, id=GRANTED))
    configured(deployed, **config)
    assert deployed.status == BlockedStatus(
        f"{sentence}; the daemon keeps its last good configuration"
    )


def test_the_policy_s_token_is_taken_from_either_place(deployed: World) -> None:
    url = "https://policy.example.com"
    configured(deployed, repo_policy_compliance_url=url, repo_policy_compliance_token="plain")
    assert deployed.machine.credentials == {"token": "ghp_secret", "policy-token": "plain"}

    address = deployed.add(testing.Secret({"token": "granted"}))
    configured(
        deployed,
        repo_policy_compliance_token=None,
        repo_policy_compliance_token_secret_id=address,
    )
    assert deployed.machine.credentials == {"token": "ghp_secret", "policy-token": "granted"}
    assert deployed.machine.document["policy"] == {
        "mode": "external",
        "url": url,
        "token-file": "$CREDENTIALS_DIRECTORY/policy-token",
    }
