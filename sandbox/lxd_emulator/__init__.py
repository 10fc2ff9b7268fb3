"""An LXD that isn't there: its API and events as far as the project uses them, with guests.

See ``docs/lxd-emulator.md``.
"""

from sandbox.lxd_emulator.emulator import LxdEmulator
from sandbox.lxd_emulator.faults import (
    CallFault,
    EventFault,
    Fault,
    GuestFault,
    ListingFault,
    OperationFault,
)
from sandbox.lxd_emulator.guests import GuestBehaviour
from sandbox.lxd_emulator.machines import Timing
from sandbox.lxd_emulator.model import Instance
from sandbox.lxd_emulator.server import Server, Settings

__all__ = [
    "CallFault",
    "EventFault",
    "Fault",
    "GuestBehaviour",
    "GuestFault",
    "Instance",
    "ListingFault",
    "LxdEmulator",
    "OperationFault",
    "Server",
    "Settings",
    "Timing",
]
