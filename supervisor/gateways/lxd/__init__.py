"""LXD: instances, what they need, and the events that tell of them.

One `Lxd` serves all threads of the process. All its calls block, have time limits, return plain
data and raise nothing but kinds of `LxdError`.
"""

from supervisor.gateways.lxd._commands import Commands, Output
from supervisor.gateways.lxd._connection import LxdEndpoint
from supervisor.gateways.lxd._errors import (
    AlreadyExists,
    LxdError,
    LxdUnavailable,
    NotFound,
    OperationFailed,
    Refused,
    Stopping,
    TimedOut,
)
from supervisor.gateways.lxd._events import Events, EventStream, LifecycleEvent
from supervisor.gateways.lxd._files import Files
from supervisor.gateways.lxd._filters import Filters
from supervisor.gateways.lxd._image_making import ImageMaking, StoredImage
from supervisor.gateways.lxd._instances import Instance, Instances
from supervisor.gateways.lxd._resources import Kind, Resource, Resources
from supervisor.gateways.lxd._server import Server, ServerInfo

__all__ = [
    "AlreadyExists",
    "EventStream",
    "Instance",
    "Kind",
    "LifecycleEvent",
    "Lxd",
    "LxdEndpoint",
    "LxdError",
    "LxdUnavailable",
    "NotFound",
    "OperationFailed",
    "Output",
    "Refused",
    "Resource",
    "ServerInfo",
    "Stopping",
    "StoredImage",
    "TimedOut",
]


class Lxd(Instances, Commands, Files, ImageMaking, Resources, Filters, Events, Server):
    """One LXD, as the supervisor uses it. Any thread may call it."""
