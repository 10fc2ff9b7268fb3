"""The image that others are built from: its name as operators write it, and where LXD finds it."""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Literal
from urllib.parse import urlsplit

# As LXD's own client has them: `lxc remote list`.
_SERVERS = {
    "ubuntu": "https://cloud-images.ubuntu.com/releases",
    "ubuntu-minimal": "https://cloud-images.ubuntu.com/minimal/releases",
    "ubuntu-daily": "https://cloud-images.ubuntu.com/daily",
    "images": "https://images.lxd.canonical.com",
}
_RELEASES = {"jammy": "jammy", "22.04": "jammy", "noble": "noble", "24.04": "noble"}

_LOCAL = re.compile(r"[!-9;-~]{1,255}")
_ALIAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]{0,254}")
_ADDRESS = re.compile(r"https?://[A-Za-z0-9._~:/\[\]-]+")
_RULE = (
    "must be jammy, noble, 22.04, 24.04, the alias of an image in LXD, REMOTE:ALIAS with "
    f"{', '.join(list(_SERVERS)[:-1])} or {list(_SERVERS)[-1]} as REMOTE, or "
    "https://SERVER/PATH:ALIAS of a simplestreams server"
)


@dataclass(frozen=True)
class BaseImage:
    """Where a base image is found.

    Attributes:
        kind: `alias` of an image that LXD has already, or `remote` for one it pulls.
        alias: its name there.
        server: the remote's address; empty for an alias.
        protocol: what the remote speaks; empty for an alias.
    """

    kind: Literal["alias", "remote"]
    alias: str
    server: str = ""
    protocol: Literal["", "simplestreams"] = ""

    def __str__(self) -> str:
        """Name it for people."""
        return f"{self.server}:{self.alias}" if self.server else self.alias

    @classmethod
    def parse(cls, text: str) -> "BaseImage":
        """Read what an operator has written.

        Raises:
            ValueError: it names no image.
        """
        if text in _RELEASES:
            return cls._remote(_SERVERS["ubuntu"], _RELEASES[text])
        if re.match(r"https?://", text):
            return cls._of_address(text)
        remote, colon, alias = text.partition(":")
        if not colon and _LOCAL.fullmatch(text):
            return cls("alias", text)
        if remote not in _SERVERS or not _ALIAS.fullmatch(alias):
            raise ValueError(_RULE)
        return cls._remote(_SERVERS[remote], alias)

    @classmethod
    def _of_address(cls, text: str) -> "BaseImage":
        server, _, alias = text.rpartition(":")
        try:
            parts = urlsplit(server)
            fits = parts.hostname and parts.port != 0 and _ADDRESS.fullmatch(server)
        except ValueError:
            fits = False
        # Without path and port, digits at the end may be meant for either a port or an alias.
        bare = fits and not parts.path.strip("/") and parts.port is None and alias.isdigit()
        if not fits or bare or not _ALIAS.fullmatch(alias):
            raise ValueError(_RULE)
        if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
            raise ValueError("must begin with https: who is on the way could answer in its stead")
        return cls._remote(server.rstrip("/"), alias)

    @classmethod
    def _remote(cls, server: str, alias: str) -> "BaseImage":
        return cls("remote", alias, server, "simplestreams")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
