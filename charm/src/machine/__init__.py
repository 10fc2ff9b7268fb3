"""The charm's hands: everything that is done to the machine, without a word of Juju."""

from .configuration import Wanted
from .errors import ConfigRefused, MachineError, VersionRefused
from .machine import Machine
from .service import Applied
from .setback import Setback
from .supervisor import Fleet, Order

__all__ = [
    "Applied",
    "ConfigRefused",
    "Fleet",
    "Machine",
    "MachineError",
    "Order",
    "Setback",
    "VersionRefused",
    "Wanted",
]
