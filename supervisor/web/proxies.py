"""The HTTP proxies that an operator names. As they may hold credentials, they are secrets."""

import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote, urlsplit

# No character in them means anything to a shell (a tilde would, after a colon), to apt, to JSON or
# in an environment file; a percent sign does to systemd.
_URL = re.compile(
    r"https?://(?:[A-Za-z0-9._%+-]+(?::[A-Za-z0-9._%+-]*)?@)?"
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}/?"
)
_NO_PROXY = re.compile(r"[A-Za-z0-9.:/*\[\]_-]+")


@dataclass(frozen=True)
class Proxy:
    """One proxy, such as `http://user:password@proxy.example.com:3128`."""

    url: str = field(repr=False)

    @property
    def scheme(self) -> Literal["http", "https"]:
        """How it is spoken to."""
        return "https" if urlsplit(self.url).scheme == "https" else "http"

    @property
    def host(self) -> str:
        """A name or an address; an IPv6 address without its brackets."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """Its TCP port."""
        return urlsplit(self.url).port or 0

    @property
    def has_credentials(self) -> bool:
        """Whether a user or a password is part of it."""
        return "@" in self.url

    def __str__(self) -> str:
        """Show where it is, without the credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


@dataclass(frozen=True)
class Proxies:
    """What HTTP goes through, by the scheme of what is asked for.

    Attributes:
        http: For `http://` addresses.
        https: For `https://` addresses.
        exceptions: Hosts, domains and networks that are asked directly (`no_proxy`).
    """

    http: Proxy | None = None
    https: Proxy | None = None
    exceptions: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.http is not None or self.https is not None

    def all(self) -> tuple[Proxy, ...]:
        """Give those that are set."""
        return tuple(proxy for proxy in (self.http, self.https) if proxy)

    def secrets(self) -> tuple[str, ...]:
        """Return what may stand in no log."""
        return tuple(secret for proxy in self.all() for secret in secrets_in(proxy.url))


def secrets_in(url: str) -> tuple[str, ...]:
    """Return what may stand in no log of a proxy's address, as it is written there and as it is.

    A user without a password is one: it may be a token.
    """
    match = re.match(r"https?://([^/@\s]+)@", url)
    if match is None:
        return ()
    user, _, password = match[1].partition(":")
    written = (match[1], password or user)
    return tuple(dict.fromkeys((*written, *map(unquote, written))))


def parse_proxy(text: str) -> Proxy:
    """Read a proxy's address.

    Raises:
        ValueError: It is none. The message does not quote it, as it may hold a password.
    """
    text = text.strip()
    try:
        fits = _URL.fullmatch(text) and (urlsplit(text).port or 0) >= 1
    except ValueError:  # a port beyond the last, or brackets around what is no address
        fits = False
    if not fits:
        raise ValueError(
            "must be http://HOST:PORT, with USER:PASSWORD@ before HOST if it wants them; anything "
            "but letters, digits and ._+- in them percent-encoded"
        )
    return Proxy(text.rstrip("/"))


def parse_exception(text: str) -> str:
    """Read one entry of `no_proxy`.

    Raises:
        ValueError: It can't be one.
    """
    if not _NO_PROXY.fullmatch(text):
        raise ValueError("must be a host, a domain or a network")
    return text
