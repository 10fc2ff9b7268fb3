"""What the process is told by the daemon when it starts: by a pipe, so that nobody else sees it."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Settings:
    """All that it is told.

    Attributes:
        app: where the package has its application, such as `module:name`.
        environment: variables that the package reads, as canonical/repo-policy-compliance does.
        charm_token: by which the package knows us.
        token_secrets: those that may have signed a runner's token.
        state_directory: where used tokens are kept.
        policy: the policy document; None for the package's usual policy.
        decisions: the file that decisions are logged in.
        scope: the owner or the repository whose jobs alone may run; None for any.
    """

    app: str
    environment: dict[str, str] = field(repr=False)
    charm_token: str = field(repr=False)
    token_secrets: tuple[bytes, ...] = field(repr=False)
    state_directory: Path
    policy: Any
    decisions: Path
    scope: str | None = None


def parse(text: str) -> Settings:
    """Read what the daemon has written, which it has checked."""
    given = json.loads(text)
    return Settings(
        app=given["app"],
        environment=dict(_environment(given)),
        charm_token=given["charm_token"],
        token_secrets=tuple(base64.b64decode(secret) for secret in given["token_secrets"]),
        state_directory=Path(given["state_directory"]),
        policy=given["policy"],
        decisions=Path(given["decisions"]),
        scope=given["scope"],
    )


def _environment(given: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Give the variables: https://github.com/canonical/repo-policy-compliance, github_client.py.

    `GITHUB_API_URL` it does not read; others may, as it is what GitHub tells its own actions.
    """
    yield "CHARM_TOKEN", given["charm_token"]
    github = given["github"]
    yield "GITHUB_API_URL", github["api_url"]
    credential = github["credential"]
    if app := credential.get("app"):
        yield "GITHUB_APP_ID", app["id"]
        yield "GITHUB_APP_INSTALLATION_ID", str(app["installation_id"])
        yield "GITHUB_APP_PRIVATE_KEY", app["private_key"]
    else:
        yield "GITHUB_TOKEN", credential["token"]
    proxies = github["proxies"]
    for scheme in ("http", "https"):
        if proxies[scheme]:
            yield f"{scheme}_proxy", proxies[scheme]
    if proxies["exceptions"]:
        yield "no_proxy", ",".join(proxies["exceptions"])
