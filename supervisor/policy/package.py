"""Where a policy service comes from that is no part of this package: a requirement of pip's.

What pip is told stands in files that only the daemon's user can read: addresses may hold
credentials, and pip hands addresses on as arguments of the programs that it starts.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from supervisor.github.scope import is_loopback

GUNICORN = "gunicorn>=25.1"
DEFAULT_APP = "repo_policy_compliance.blueprint:repo_policy_compliance"
"""canonical/repo-policy-compliance's: a blueprint of Flask's, as its package has no application."""

_TOOLS = frozenset({"gunicorn", "pip", "setuptools", "wheel"})
_SPECIFIER = r"(?:[<>=!~]=|===|<|>) *[A-Za-z0-9][A-Za-z0-9.*+!_-]*"
_NAMED = re.compile(
    rf"[A-Za-z0-9][A-Za-z0-9._-]*(?: *\[[A-Za-z0-9._, -]*\])?"
    rf" *(?:{_SPECIFIER}(?: *, *{_SPECIFIER})*)?"
)
"""A package's name with versions, as PEP 508 has it, without markers; no option of pip's."""
_ADDRESS = re.compile(r"[!-~]+")
_SCHEMES = frozenset({"https", "file", "git+https", "git+ssh", "git+file"})
_FRAGMENT = frozenset({"egg", "sha256", "subdirectory"})
"""What pip reads there; whatever else it is, pip and git pass it on and show it."""
_UNQUOTED = re.compile(r"[!$%&()*+,./:;<=>?@A-Z\[\]^_`a-z{|}~0-9-]+")
"""What may stand in a file of netrc(5) without quotes, in all programs' ways to read it."""


@dataclass(frozen=True)
class Login:
    """Who asks a host."""

    host: str
    user: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class PackageSource:
    """What is to be installed, and where from.

    Attributes:
        requirement: as pip takes it, without credentials.
        index: a package index's address, without credentials; empty for the host's usual one.
        links: a directory of wheels; empty if there is none.
        logins: the credentials that stood in the addresses.
    """

    requirement: str
    index: str = ""
    links: str = ""
    logins: tuple[Login, ...] = ()

    def requirements(self, *more: str) -> str:
        """Write a file of requirements.

        https://pip.pypa.io/en/stable/reference/requirements-file-format

        Args:
            more: requirements besides.
        """
        options = []
        if self.index:
            options.append(f"--index-url {self.index}")
        elif self.links:
            options.append("--no-index")
        if self.links:
            options.append(f"--find-links {shlex.quote(self.links)}")
        return "\n".join((*options, self.requirement, *more, ""))

    def netrc(self) -> str:
        """Write the logins as pip and git read them, in the way of ftp's file of that name."""
        return "".join(
            f"machine {one.host} login {one.user} password {one.password}\n" for one in self.logins
        )

    def secrets(self) -> tuple[str, ...]:
        """Give what may stand in no log."""
        return tuple(one.password for one in self.logins)

    def fingerprint(self, app: str) -> str:
        """Tell what is had from here, and run as `app`, from what is had or run otherwise.

        Another login is no other source.
        """
        words = json.dumps([self.requirement, self.index, self.links, app])
        return hashlib.sha256(words.encode()).hexdigest()

    @property
    def is_elsewhere(self) -> bool:
        """Tell whether the host's own settings of pip are not to be used."""
        return bool(self.index or self.links)


@dataclass(frozen=True)
class Release:
    """A version of a package, as it was or would be installed.

    Attributes:
        name: of the package.
        version: its number.
        origin: the commit or hash, where it comes from an address; empty for a package index.
        parts: what is installed besides, each as `NAME VERSION`: what it needs, and is run by.
    """

    name: str
    version: str
    origin: str = ""
    parts: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Show it to people."""
        return f"{self.name} {self.version}" + (f" ({self.origin[:12]})" if self.origin else "")

    def told_from(self, other: Release | None) -> str:
        """Show it to people who know another one, from which only parts may differ."""
        if other is None or str(self) != str(other):
            return str(self)
        new = [part for part in self.parts if part not in other.parts]
        names = {part.partition(" ")[0] for part in self.parts}
        former = [part.partition(" ")[0] for part in other.parts]
        gone = [name for name in former if name not in names]
        told = f" with {', '.join(new)}" if new else ""
        return str(self) + told + (f" without {', '.join(gone)}" if gone else "")


def source(requirement: str, index: str = "", links: str = "") -> PackageSource:
    """Take what an operator has set, which was checked.

    Args:
        requirement: of `policy.package`.
        index: of `policy.package-index`.
        links: of `policy.package-links`.
    """
    logins = []
    requirement, login = _without_login(requirement)
    index, other = _without_login(index)
    logins = [one for one in (login, other) if one]
    return PackageSource(requirement, index, links, tuple(logins))


def check_requirement(text: str) -> str:
    """Check a requirement of pip's.

    Raises:
        ValueError: it is none that is taken. The message does not quote it: it may hold a password.
    """
    _, _, address = text.rpartition(" @ ")
    if "://" in address:
        named = text[: -len(address)].removesuffix(" @ ")
        if urlsplit(address).scheme not in _SCHEMES or (named and not _NAMED.fullmatch(named)):
            raise ValueError(f"an address must begin with one of {', '.join(sorted(_SCHEMES))}")
        _check_address(address)
    elif not _NAMED.fullmatch(text):
        raise ValueError("must be a package's name, an address, or NAME @ ADDRESS")
    return text


def check_index(text: str) -> str:
    """Check the address of a package index.

    Raises:
        ValueError: it can't be used. The message does not quote it: it may hold a password.
    """
    _check_address(text)
    parts = urlsplit(text)
    is_near = parts.scheme == "http" and is_loopback(parts.hostname or "")
    if not parts.hostname or not (parts.scheme == "https" or is_near):
        raise ValueError("must be an https address, such as https://pypi.example.com/simple")
    return text


def check_app(text: str) -> str:
    """Check where in a package the application is.

    Raises:
        ValueError: it is no such place.
    """
    if not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*", text, re.ASCII):
        raise ValueError("must be MODULE:NAME")
    return text


def has_credentials(text: str) -> bool:
    """Tell whether an address, or a requirement that is one, holds a password."""
    return re.search(r"://[^/@\s]*:[^/@\s]*@", text) is not None


def release_of(report: str) -> Release:
    """Read pip's report: https://pip.pypa.io/en/stable/reference/installation-report.

    Args:
        report: on what it has installed in an empty environment, or would install there.

    Raises:
        ValueError: it does not tell of one package that was asked for, besides what that is run by.
    """
    try:
        found = [
            (_release(item), bool(item.get("requested"))) for item in json.loads(report)["install"]
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("pip's report can't be read") from error
    asked_for = [one for one, requested in found if requested and one.name.lower() not in _TOOLS]
    if len(asked_for) != 1:
        raise ValueError(f"pip tells of {len(asked_for)} packages in the place of one")
    parts = sorted(_part(one) for one, _ in found if one is not asked_for[0])
    return replace(asked_for[0], parts=tuple(parts))


def _release(item: dict[str, Any]) -> Release:
    metadata = item["metadata"]
    # Of an index, a file's hash does not tell it from another version.
    origin = _origin(item["download_info"]) if item.get("is_direct") else ""
    return Release(metadata["name"], metadata["version"], origin)


def _part(release: Release) -> str:
    return f"{release.name} {release.version}" + (f" ({release.origin})" if release.origin else "")


def _origin(info: dict[str, Any]) -> str:
    """Give what tells it from others of that number: https://packaging.python.org/en/latest/specifications/direct-url."""
    commit = info.get("vcs_info", {}).get("commit_id")
    archive = info.get("archive_info", {})
    hashes = archive.get("hashes") or {}
    return str(commit or hashes.get("sha256") or archive.get("hash", "").removeprefix("sha256="))


def _check_address(text: str) -> None:
    if not _ADDRESS.fullmatch(text):
        raise ValueError("an address must be printable ASCII without blanks")
    parts = urlsplit(text)
    facts = [fact.partition("=")[0] for fact in parts.fragment.split("&") if fact]
    if "?" in text or not _FRAGMENT.issuperset(facts):
        raise ValueError(
            "an address must have no query (?), and after # only egg, sha256 and subdirectory: it "
            "is shown; credentials go before the host, as USER:PASSWORD@"
        )
    if not re.fullmatch(r"(?:.*@)?(?:\[[^\]]*\]|[^:]*)(?::[0-9]*)?", parts.netloc):
        raise ValueError(
            "an address must have a number as its port, if any, and no / in a password"
        )
    is_key = parts.scheme == "git+ssh" and parts.password is None
    if "@" not in parts.netloc or is_key:
        return
    words = (unquote(parts.username or ""), unquote(parts.password or ""))
    if not all(map(_UNQUOTED.fullmatch, words)):
        raise ValueError(
            "credentials in an address must be USER:PASSWORD@ before the host, without blanks, "
            "quotes and backslashes"
        )


def _without_login(text: str) -> tuple[str, Login | None]:
    if not has_credentials(text):
        return text, None
    before, address = text[: text.rfind(" @ ") + 3] if " @ " in text else "", text
    address = address.removeprefix(before)
    parts = urlsplit(address)
    login = Login(
        parts.hostname or "", unquote(parts.username or ""), unquote(parts.password or "")
    )
    _, _, host = parts.netloc.rpartition("@")
    return before + urlunsplit(parts._replace(netloc=host)), login
