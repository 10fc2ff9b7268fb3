"""The charm's hands: everything that is done to the machine, without a word of Juju."""

from .errors import ConfigRefused, MachineError
from .machine import Machine
from .service import Applied
from .supervisor import Fleet, Order

__all__ = ["Applied", "ConfigRefused", "Fleet", "Machine", "MachineError", "Order"]
