"""The work on LXD for one runner, as calls that block and return what happened.

Workers run it in their threads: it holds nothing that changes, and it raises nothing that is LXD's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from supervisor import lifecycle, marks
from supervisor.gateways.lxd import Lxd, LxdError, LxdUnavailable, NotFound, TimedOut
from supervisor.lifecycle import Limits
from supervisor.marks import Marks
from supervisor.messages import Happened


@dataclass(frozen=True)
class Looked:
    """What LXD shows of the instance: nothing, if there is none."""

    marks: Marks | None


@dataclass(frozen=True)
class LookFailed:
    """LXD can't be asked."""

    reason: str


@dataclass(frozen=True)
class Recorded:
    """The stage stands in the instance's configuration, or why it doesn't."""

    error: str = ""


@dataclass(frozen=True)
class InstanceWork:
    """One instance's calls."""

    lxd: Lxd
    name: str
    limits: Limits

    def look(self) -> Looked | LookFailed:
        """See what there is."""
        try:
            instance = self.lxd.instance(self.name)
        except NotFound:
            return Looked(None)
        except LxdError as error:
            return LookFailed(str(error))
        return Looked(marks.read(instance.status, instance.config))

    def create(self, request: Mapping[str, Any]) -> Happened:
        """Create it; it is not started."""
        try:
            self.lxd.create(request, limit_s=self.limits.creating.total_seconds())
        except LxdError as error:
            return Happened(lifecycle.Failed(str(error)))
        return Happened(lifecycle.InstanceCreated())

    def start(self) -> Happened:
        """Start it."""
        try:
            self.lxd.start(self.name, limit_s=self.limits.creating.total_seconds())
        except LxdError as error:
            certain = not isinstance(error, (LxdUnavailable, TimedOut))
            return Happened(lifecycle.StartFailed(str(error), certain=certain))
        return Happened(lifecycle.InstanceStarted())

    def record(self, keys: Mapping[str, str]) -> Recorded:
        """Write keys into its configuration."""
        try:
            self.lxd.update_config(self.name, keys)
        except NotFound:
            return Recorded()  # it ended meanwhile
        except LxdError as error:
            return Recorded(str(error))
        return Recorded()

    def remove(self) -> Happened:
        """Stop and delete it, whatever state it is in."""
        try:
            self.lxd.delete(self.name, limit_s=self.limits.finished.total_seconds())
        except LxdError as error:
            return Happened(lifecycle.RemovalFailed(str(error)))
        return Happened(lifecycle.InstanceGone())
