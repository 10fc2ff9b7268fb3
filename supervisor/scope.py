"""Where GitHub is, and whose runners are managed there."""

import re
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address
from urllib.parse import urlsplit

_OWNER = r"[A-Za-z0-9][A-Za-z0-9-]*"
_REPOSITORY = r"(?!\.{1,2}$)[A-Za-z0-9._-]+"
_PATH = re.compile(rf"(?P<owner>{_OWNER})(/(?P<name>{_REPOSITORY}))?")
_SERVER_API = "/api/v3"


class ScopeKind(str, Enum):
    """Who owns the runners."""

    ORGANISATION = "organisation"
    REPOSITORY = "repository"
    ENTERPRISE = "enterprise"


_PERMISSIONS = {
    ScopeKind.ORGANISATION: "Self-hosted runners",
    ScopeKind.REPOSITORY: "Administration",
    ScopeKind.ENTERPRISE: "Enterprise self-hosted runners",
}
_CLASSIC_SCOPES = {
    ScopeKind.ORGANISATION: "admin:org",
    ScopeKind.REPOSITORY: "repo",
    ScopeKind.ENTERPRISE: "manage_runners:enterprise",
}


@dataclass(frozen=True)
class Scope:
    """Whose runners are managed.

    Attributes:
        kind: organisation, repository or enterprise.
        name: `acme`, `acme/demo`, or an enterprise's name.
    """

    kind: ScopeKind
    name: str

    @classmethod
    def parse(cls, path: str) -> "Scope":
        """Read `organisation`, `owner/repository` or `enterprises/enterprise`.

        Raises:
            ValueError: it is none of these.
        """
        match = _PATH.fullmatch(path)
        if not match:
            raise ValueError("must be an organisation, owner/repository or enterprises/enterprise")
        if match["name"] is None:
            return cls(ScopeKind.ORGANISATION, path)
        if match["owner"] == "enterprises":  # as in GitHub's own addresses; nobody is called so
            return cls(ScopeKind.ENTERPRISE, match["name"])
        return cls(ScopeKind.REPOSITORY, path)

    def __str__(self) -> str:
        return f"{self.kind.value} {self.name}"

    @property
    def api_path(self) -> str:
        """Where its part of the REST API is, below the base."""
        places = {
            ScopeKind.ORGANISATION: "orgs",
            ScopeKind.REPOSITORY: "repos",
            ScopeKind.ENTERPRISE: "enterprises",
        }
        return f"/{places[self.kind]}/{self.name}"

    @property
    def has_groups(self) -> bool:
        """Tell whether runners can be grouped: not those of a repository."""
        return self.kind is not ScopeKind.REPOSITORY

    def needs(self, *, write: bool) -> str:
        """Say what a credential needs to manage runners here, in GitHub's words."""
        level = "write" if write else "read"
        return (
            f'the permission "{_PERMISSIONS[self.kind]}: {level}", or the scope '
            f"{_CLASSIC_SCOPES[self.kind]} of a classic token"
        )


@dataclass(frozen=True)
class GitHubPlace:
    """Which GitHub.

    Attributes:
        api_url: the base of its REST API.
        has_published_limits: GitHub's published limits for bursts of calls hold there.
    """

    api_url: str
    has_published_limits: bool

    @classmethod
    def parse(cls, url: str) -> "GitHubPlace":
        """Read a web address, or that of the REST API.

        Raises:
            ValueError: it can't be GitHub's, or would show the token to all on the way.
        """
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme != "https" and not _is_near(host):
            raise ValueError("must begin with https: a token must not travel in clear text")
        cloud = host.removeprefix("api.")
        if cloud == "github.com" or cloud.endswith(".ghe.com"):
            if parts.path.rstrip("/"):
                raise ValueError(f"must end at the host: https://{cloud}")
            return cls(f"https://api.{cloud}", has_published_limits=True)
        if parts.path.rstrip("/") not in {"", _SERVER_API}:
            raise ValueError(f"must end at the host, or in {_SERVER_API}")
        return cls(f"{parts.scheme}://{parts.netloc}{_SERVER_API}", has_published_limits=False)


def _is_near(host: str) -> bool:
    try:
        return not ip_address(host).is_global
    except ValueError:
        return host == "localhost"
