"""LXD as a snap, where the machine has none yet: installed, held, and followed by us alone.

One that was there before is somebody else's, and left as it is. Ours stays when everything else of
ours goes: others may have begun to use it, and removing a snap would take their instances with it.
"""

from __future__ import annotations

import logging

from charmlibs import snap

from . import files
from .commands import Commands
from .errors import MachineError
from .packages import Packages
from .places import Places

_READY_LIMIT_S = 120.0
_SOCKETS = ("var/snap/lxd/common/lxd/unix.socket", "var/lib/lxd/unix.socket")

_log = logging.getLogger(__name__)


class Lxd:
    """LXD on this machine.

    Args:
        places: where things are.
        commands: run LXD's own program.
        packages: know whether it is installed as one.
    """

    def __init__(self, places: Places, commands: Commands, packages: Packages) -> None:
        self._places = places
        self._commands = commands
        self._packages = packages
        self._note = places.notes / "lxd-is-ours"

    @property
    def is_ours(self) -> bool:
        """Whether we have installed it."""
        return self._note.exists()

    def ensure(self, channel: str) -> None:
        """See to it that there is one; ours is followed along the channel by `Updates`.

        Raises:
            MachineError: it can't be installed, or does not come up.
        """
        if not self.is_ours and self._is_there():
            return
        # Noted first: one that was half installed when we were killed is ours.
        files.ensure(self._note, "installed as a snap\n")
        try:
            snap.ensure_installed("lxd", channel, update=False)
            snap.hold("lxd")
        except snap.SocketNotFoundError as error:
            self._note.unlink(missing_ok=True)
            raise MachineError(
                "LXD can't be installed: this machine has no snapd; install snapd, or LXD itself"
            ) from error
        except (snap.Error, ValueError) as error:
            if not self._is_there():
                self._note.unlink(missing_ok=True)  # who installs one now is its owner
            raise MachineError(f"LXD can't be installed from {channel}: {error}") from error
        done = self._commands.run(
            *("lxd", "waitready", f"--timeout={_READY_LIMIT_S:.0f}"), limit_s=_READY_LIMIT_S + 10
        )
        if done.code:
            raise MachineError(f"LXD was installed and does not come up: {done.reason}")

    def release(self) -> None:
        """Let snapd refresh ours again, as nobody else does any more."""
        if not self.is_ours:
            return
        try:
            snap.unhold("lxd")
        except snap.Error as error:
            _log.warning("snapd still holds LXD back (`snap refresh --unhold lxd`): %s", error)

    def _is_there(self) -> bool:
        """Tell whether there is one.

        Ubuntu's packages `lxd` and `lxd-installer` hold none: they install the snap when asked.
        """
        root = self._places.root
        if (root / "snap/lxd/current").is_symlink():
            return True
        if any((root / socket).is_socket() for socket in _SOCKETS):
            return True
        return (root / "usr/bin/lxd").exists() and bool(self._packages.installed(("lxd",)))
