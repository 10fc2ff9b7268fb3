"""Capabilities that the daemon has and what it starts has not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_SETPRIV = ("setpriv", "--ambient-caps=-all", "--")


def without(command: Sequence[str]) -> tuple[str, ...]:
    """Make a command that runs another without the capabilities that its user has not as such.

    A daemon that is not root has CAP_NET_ADMIN by its unit, and every program that it starts would
    have it too (capabilities(7), "ambient"). Root's are root's: who starts something as another
    user leaves them behind.
    """
    return tuple(command) if os.geteuid() == 0 else (*_SETPRIV, *command)
