"""The firewall of the sandbox's bridge: what the daemon is told of it, and how it goes again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sandbox import machine
from supervisor.firewall.names import installations, table_name
from supervisor.gateways.nftables import Nftables

if TYPE_CHECKING:
    from sandbox.host import Host


def lack(host: Host) -> str:
    """Say why the daemon can't keep a firewall here; empty if it can."""
    if host.kind == "emulator":
        return "the emulator's guests have no network"
    if not machine.is_root():
        return "only root may set one"
    if not machine.has_program("nft"):
        return "there is no nft"
    return ""


def settings(host: Host, github: str) -> dict[str, Any]:
    """Give the daemon's settings: guests reach the sandbox GitHub, which is on this host.

    Args:
        host: the machine, ready.
        github: the address of the sandbox GitHub.
    """
    if lack(host):
        return {"firewall": "external"}
    return {"firewall": "managed", "allowlist": [urlsplit(github).netloc]}


def remove(bridge: str) -> None:
    """Delete what daemons have left for a bridge, as they do on purpose.

    Raises:
        NftablesError: it can't be deleted.
    """
    nftables = Nftables()
    for installation in installations(nftables.tables(), bridge):
        nftables.delete(table_name(installation, bridge))
