"""What GitHub is asked with: a token, or the key of a GitHub App."""

import re
from dataclasses import dataclass, field

ONE_PLAIN_LINE = "must be one line of printable ASCII characters without blanks"

# https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats
_KINDS = {
    "ghp_": "classic personal access token",
    "github_pat_": "fine-grained personal access token",
    "gho_": "OAuth token",
    "ghu_": "GitHub App's user token",
    "ghs_": "installation token",
}


def is_token(value: str) -> bool:
    """Tell whether a token is of one line, without blanks."""
    return re.fullmatch(r"[!-~]+", value) is not None


@dataclass(frozen=True)
class PersonalToken:
    """A token that is sent as it is."""

    token: str = field(repr=False)

    @property
    def kind(self) -> str:
        """What it is, in words."""
        if re.fullmatch(r"[0-9a-f]{40}", self.token):
            return _KINDS["ghp_"]  # as they were before 2021
        fitting = (kind for prefix, kind in _KINDS.items() if self.token.startswith(prefix))
        return next(fitting, "personal access token")


@dataclass(frozen=True)
class AppKey:
    """A GitHub App's private key, for one installation of it.

    Attributes:
        app_id: the App's number, or its client ID.
        installation_id: the installation's number.
        private_key: PEM.
    """

    app_id: str
    installation_id: int
    private_key: str = field(repr=False)

    @property
    def kind(self) -> str:
        """What it is, in words."""
        return f"GitHub App {self.app_id}"


Credential = PersonalToken | AppKey
