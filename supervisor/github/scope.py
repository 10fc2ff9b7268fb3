"""Where GitHub is, and whose runners are managed there."""

import re
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

_ORGANISATION = r"[A-Za-z0-9][A-Za-z0-9-]*"
_OWNER = r"[A-Za-z0-9][A-Za-z0-9_-]*"  # the names of managed users have an underscore
_REPOSITORY = r"(?!\.{1,2}$)[A-Za-z0-9._-]+"
_PATH = re.compile(rf"{_ORGANISATION}|(?P<owner>{_OWNER})/(?P<name>{_REPOSITORY})")
_ENTERPRISES = "enterprises"  # as in GitHub's own addresses; nobody may be called so
_HOST = re.compile(r"[a-z0-9._-]+")
_CLOUD = re.compile(r"github\.com|[a-z0-9-]+\.ghe\.com")
_DEFAULT_PORTS = {"http": 80, "https": 443}
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
        if not match or path.lower() == _ENTERPRISES or (match["owner"] or "").lower() == "orgs":
            raise ValueError("must be an organisation, owner/repository or enterprises/enterprise")
        if match["name"] is None:
            return cls(ScopeKind.ORGANISATION, path)
        if match["owner"].lower() == _ENTERPRISES:
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
        url: the address that people use, whichever way it was given.
        api_url: the base of its REST API.
        has_published_limits: GitHub's published limits for bursts of calls hold there.
    """

    url: str
    api_url: str
    has_published_limits: bool

    @property
    def is_server(self) -> bool:
        """Whether it is an Enterprise Server, which has its REST API at the same address."""
        return self.api_url == f"{self.url}{_SERVER_API}"

    @classmethod
    def parse(cls, url: str) -> "GitHubPlace":
        """Read a web address, or that of the REST API.

        Raises:
            ValueError: it can't be GitHub's, or would show the token to all on the way.
        """
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        address = _address(host)
        if address is None and not _HOST.fullmatch(host):
            raise ValueError("must name a host, as in https://github.com")
        if parts.scheme != "https" and not (parts.scheme == "http" and is_near(host)):
            raise ValueError("must begin with https: a token must not travel in clear text")
        path = parts.path.rstrip("/")
        port = None if parts.port == _DEFAULT_PORTS[parts.scheme] else parts.port
        if f".{host}".endswith((".github.com", ".ghe.com")):
            cloud = host.removeprefix("api.")
            if not _CLOUD.fullmatch(cloud):
                raise ValueError("must be https://github.com or https://TENANT.ghe.com")
            if path or port is not None:
                raise ValueError(f"must end at the host: https://{cloud}")
            return cls(f"https://{cloud}", f"https://api.{cloud}", has_published_limits=True)
        web = f"{parts.scheme}://" + (f"[{host}]" if ":" in host else host)
        web += "" if port is None else f":{port}"
        if path not in {"", _SERVER_API}:
            raise ValueError(f"must end at the host, or in {_SERVER_API}: {web}")
        return cls(web, f"{web}{_SERVER_API}", has_published_limits=False)


def is_near(host: str) -> bool:
    """Tell whether a host is this one, or an address that no public network leads to."""
    address = _address(host)
    return host == "localhost" if address is None else not address.is_global


def is_within(repository: str, scope: str | None) -> bool:
    """Tell whether a repository is the one, or one of the owner, that runners serve.

    Args:
        repository: as `OWNER/REPOSITORY`; GitHub takes no notice of letters' case.
        scope: an owner or a repository; None for any.
    """
    name = repository.lower()
    return scope is None or scope.lower() in {name, name.partition("/")[0]}


def is_loopback(host: str) -> bool:
    """Tell whether a host is this one, by its own address."""
    address = _address(host)
    return host == "localhost" if address is None else address.is_loopback


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(host)
    except ValueError:
        return None
    # Older Pythons take every IPv4 address that is written as one of IPv6 for a private one.
    return getattr(address, "ipv4_mapped", None) or address
