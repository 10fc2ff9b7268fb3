"""The user that the daemon runs as."""

from __future__ import annotations

import grp
import pwd
import subprocess
from pathlib import Path

from charmlibs import passwd

from .errors import MachineError
from .files import Owner
from .places import NAME

LXD = "lxd"
"""The group that may use LXD. The snap takes one that is there; Debian's package makes it."""


class Accounts:
    """Users and groups of this machine. What is there already is left as it is."""

    def ensure(self, home: Path) -> Owner:
        """See to it that the daemon's user is there, and may use LXD.

        Args:
            home: its home directory, which is not made.

        Raises:
            MachineError: it can't be made.
        """
        try:
            if passwd.group_exists(LXD) is None:
                passwd.add_group(LXD, system_group=True)
            passwd.add_user(  # noqa: S604 - the shell is the user's
                NAME,
                shell="/usr/sbin/nologin",
                system_user=True,
                home_dir=str(home),
                create_home=False,
            )
            if NAME not in grp.getgrnam(LXD).gr_mem:
                passwd.add_user_to_group(NAME, LXD)
        except (subprocess.CalledProcessError, OSError, KeyError) as error:
            raise MachineError(f"the user {NAME} can't be made: {_said(error)}") from error
        return self.owner()

    def owner(self) -> Owner:
        """Give the daemon's user and its group.

        Raises:
            MachineError: there is none.
        """
        try:
            found = pwd.getpwnam(NAME)
        except KeyError as error:
            raise MachineError(f"there is no user {NAME}: it is not installed") from error
        return Owner(found.pw_uid, found.pw_gid)

    def remove(self) -> str:
        """Remove the daemon's user and its group.

        Returns:
            Why that failed; empty if they are gone.
        """
        try:
            if passwd.user_exists(NAME):
                passwd.remove_user(NAME)
            if passwd.group_exists(NAME):  # userdel(8) keeps one that has other members
                passwd.remove_group(NAME)
        except (subprocess.CalledProcessError, OSError) as error:
            return f"the user {NAME} can't be removed: {_said(error)}"
        return ""


def _said(error: Exception) -> str:
    """Give what the program said, rather than that it failed."""
    said = getattr(error, "output", None)
    text = said.decode(errors="replace") if isinstance(said, bytes) else str(said or error)
    return " ".join(text.split())
