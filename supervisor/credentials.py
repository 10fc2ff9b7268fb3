"""What the operator gives us to ask GitHub with: a token, or an app's key."""

from dataclasses import dataclass, field

from supervisor.config import Config

_KINDS = {
    "ghp_": "classic personal access token",
    "github_pat_": "fine-grained personal access token",
    "gho_": "OAuth token",
    "ghu_": "app's user token",
    "ghs_": "installation token",
}


@dataclass(frozen=True)
class PersonalToken:
    """A token that is sent as it is."""

    token: str = field(repr=False)

    @property
    def kind(self) -> str:
        """What it is, in words."""
        for prefix, kind in _KINDS.items():
            if self.token.startswith(prefix):
                return kind
        return "personal access token"


@dataclass(frozen=True)
class AppKey:
    """A GitHub App's private key, for one installation of it."""

    app_id: str
    installation_id: int
    private_key: str = field(repr=False)

    @property
    def kind(self) -> str:
        """What it is, in words."""
        return f"GitHub App {self.app_id}"


Credential = PersonalToken | AppKey


def read(config: Config) -> Credential:
    """Read the credential."""
    return PersonalToken(config.github_token())


def stamp(config: Config) -> object:
    """Tell whether the credential may have changed since."""
    try:
        return config.token_file.stat().st_mtime_ns if config.token_file else config.token
    except OSError:
        return None
