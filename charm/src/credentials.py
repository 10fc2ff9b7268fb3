"""The credentials: from options, or from Juju's secrets that they name."""

from __future__ import annotations

from dataclasses import dataclass

import ops

from options import CharmOptions, Credentials, OptionsError, reset_option, set_option


@dataclass(frozen=True)
class _Source:
    """An option that names a secret.

    Attributes:
        option: its name.
        keys: under which of the secret's keys the value is; the first is the one to use.
    """

    option: str
    keys: tuple[str, ...]


# `github-token` and `private-key` are what github-runner, the charm, takes; the short one is easily
# guessed.
_TOKEN = _Source("token-secret-id", ("github-token", "token"))
_PRIVATE_KEY = _Source("github-app-private-key-secret-id", ("private-key",))
_POLICY_TOKEN = _Source("repo-policy-compliance-token-secret-id", ("token",))


def read(options: CharmOptions, app: str) -> Credentials:
    """Read what the options give or name.

    Args:
        options: as they are set.
        app: the application's name, for the commands that errors name.

    Raises:
        OptionsError: there is not exactly one credential for GitHub, or a secret can't be read.
    """
    _check_choice(options, app)
    token, key = options.token.strip(), ""
    if options.token_secret_id:
        token = _content(options.token_secret_id, _TOKEN, app)
    if options.github_app_private_key_secret_id:
        key = _content(options.github_app_private_key_secret_id, _PRIVATE_KEY, app)
    return Credentials(token, key, _policy_token(options, app))


def _check_choice(options: CharmOptions, app: str) -> None:
    app_options = {
        "github-app-client-id": bool(options.github_app_client_id.strip()),
        "github-app-installation-id": bool(options.github_app_installation_id),
        "github-app-private-key-secret-id": bool(options.github_app_private_key_secret_id),
    }
    given = {
        "token": bool(options.token.strip()),
        "token-secret-id": bool(options.token_secret_id),
        "the GitHub App": any(app_options.values()),
    }
    named = [name for name, there in given.items() if there]
    if not named:
        raise OptionsError(
            "there is no credential for GitHub; "
            f"{set_option(app, 'token-secret-id', 'SECRET')}, or the three options github-app-*"
        )
    if len(named) > 1:
        unwanted = [name for name in named if name in given and name != "the GitHub App"]
        raise OptionsError(
            f"{' and '.join(named)}: only one of them can be used; keep one, for example "
            + reset_option(app, unwanted[0])
        )
    missing = [name for name, there in app_options.items() if not there]
    if given["the GitHub App"] and missing:
        raise OptionsError(
            f"{' and '.join(missing)}: the GitHub App needs it, too; "
            + set_option(app, missing[0], "VALUE")
        )


def _policy_token(options: CharmOptions, app: str) -> str:
    plain = options.repo_policy_compliance_token.strip()
    if not options.repo_policy_compliance_token_secret_id:
        return plain
    if plain:
        raise OptionsError(
            "repo-policy-compliance-token and repo-policy-compliance-token-secret-id: only one of "
            f"them can be used; {reset_option(app, 'repo-policy-compliance-token')}"
        )
    return _content(options.repo_policy_compliance_token_secret_id, _POLICY_TOKEN, app)


def _content(secret: ops.Secret, source: _Source, app: str) -> str:
    """Read a secret's latest revision.

    Raises:
        OptionsError: it can't be read, or has not what is looked for.
    """
    name = secret.id or "SECRET"
    where = f"{source.option}: {name}"
    try:
        content = secret.get_content(refresh=True)
    except ops.ModelError as error:  # SecretNotFoundError, too: Juju says so where access is denied
        raise OptionsError(
            f"{where} is not there, or is not granted to {app}; `juju grant-secret {name} {app}`"
        ) from error
    value = next((content[key].strip() for key in source.keys if key in content), "")
    if not value:
        key = source.keys[0]
        raise OptionsError(f"{where} has no `{key}`; `juju update-secret {name} {key}#file=FILE`")
    return value
