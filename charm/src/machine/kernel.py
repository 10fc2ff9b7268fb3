"""What the kernel must do at each boot for guests at a bridge to be filtered."""

from __future__ import annotations

import logging

from . import files
from .commands import Commands
from .places import Places

_MODULE = "br_netfilter"
_LIMIT_S = 20.0
_MODULES = f"""\
# Lets nftables see what guests at the same bridge send each other.
{_MODULE}
"""
_SYSCTL = """\
# Has the frames that bridges carry seen by the filters of IPv4 and IPv6.
net.bridge.bridge-nf-call-iptables = 1
net.bridge.bridge-nf-call-ip6tables = 1
"""

_log = logging.getLogger(__name__)


class BridgeFiltering:
    """The module br_netfilter and its switches.

    In a container they are the host's: it is logged where they can't be had, and the daemon's
    firewall says what it lacks.

    Args:
        places: where things are.
        commands: run modprobe and sysctl.
    """

    def __init__(self, places: Places, commands: Commands) -> None:
        self._places = places
        self._commands = commands

    def ensure(self) -> None:
        """See to it that it is there now and after each boot.

        Raises:
            OSError: the files that say so can't be written.
        """
        changed = False
        for path, text in ((self._places.modules, _MODULES), (self._places.sysctl, _SYSCTL)):
            files.make_directory(path.parent, 0o755)
            changed |= files.ensure(path, text, mode=0o644)
        if not changed:
            return
        for command in (("modprobe", _MODULE), ("sysctl", "--load", str(self._places.sysctl))):
            done = self._commands.run(*command, limit_s=_LIMIT_S)
            if done.code:
                _log.warning("%s: %s", " ".join(command), done.reason)

    def remove(self) -> list[str]:
        """Have it not be set up any more; others may need it until the next boot.

        Returns:
            What could not be removed, and why.
        """
        faults = [files.discard(path) for path in (self._places.modules, self._places.sysctl)]
        return list(filter(None, faults))
