"""Everything the charm does to the machine."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class MachineError(Exception):
    """The machine can't; one sentence says what."""


class ConfigRefused(Exception):
    """The daemon can't use the configuration; one line says why."""


@dataclass(frozen=True)
class Applied:
    """What has become of a configuration."""

    changed: bool
    restarted: bool


@dataclass(frozen=True)
class Fleet:
    """What the daemon says of itself."""

    status: dict[str, Any]
    upgrades: dict[str, Any]


@dataclass(frozen=True)
class Order:
    """How an order to the daemon has ended."""

    code: int
    out: str
    err: str


class Machine:
    """The machine that this unit has."""

    def __init__(self, payload: Path, units: Path, root: Path = Path("/")) -> None:
        raise NotImplementedError

    def claim(self, unit: str) -> None:
        """Take the machine for a unit."""
        raise NotImplementedError

    def install(self, *, lxd_channel: str, progress: Callable[[str], None]) -> None:
        """Install all."""
        raise NotImplementedError

    def upgrade(self, *, lxd_channel: str, progress: Callable[[str], None]) -> None:
        """Upgrade all."""
        raise NotImplementedError

    def apply(
        self,
        document: Mapping[str, Any],
        credentials: Mapping[str, str],
        *,
        environment: Mapping[str, str],
        image_script: str = "",
    ) -> Applied:
        """Configure the daemon."""
        raise NotImplementedError

    def fleet(self) -> Fleet | None:
        """Ask the daemon."""
        raise NotImplementedError

    def unit_state(self) -> str:
        """Ask systemd."""
        raise NotImplementedError

    def order(self, *arguments: str, limit_s: float) -> Order:
        """Order something."""
        raise NotImplementedError

    def reboot_due(self, fleet: Fleet | None) -> str:
        """Say what a reboot is due for."""
        raise NotImplementedError

    def update(self, *, lxd_channel: str) -> None:
        """Update in the background."""
        raise NotImplementedError

    def drain(self, *, limit_s: float) -> str:
        """Drain."""
        raise NotImplementedError

    def remove(self) -> list[str]:
        """Remove all."""
        raise NotImplementedError

    def version(self) -> str:
        """Give the daemon's version."""
        raise NotImplementedError
