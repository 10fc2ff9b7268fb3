"""Where everything of ours is on a machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

NAME = "github-runner-supervisor"
"""Of the user, the service and the directories."""
UNITS = "systemd"
"""Where in an environment its units are."""


@dataclass(frozen=True)
class Places:
    """The paths below the root of a machine.

    Attributes:
        root: of its file system.
    """

    root: Path = Path("/")

    @property
    def software(self) -> Path:
        """The daemon's environments."""
        return self.root / "opt" / NAME

    @property
    def current(self) -> Path:
        """The environment in use."""
        return self.software / "current"

    @property
    def cli(self) -> Path:
        """The daemon's command."""
        return self.current / "bin" / "supervisor-cli"

    @property
    def cli_link(self) -> Path:
        """Where people find that command."""
        return self.root / "usr/local/bin/supervisor-cli"

    @property
    def settings(self) -> Path:
        """What the operator sets."""
        return self.root / "etc" / NAME

    @property
    def config(self) -> Path:
        """The daemon's configuration."""
        return self.settings / "config.yaml"

    @property
    def credentials(self) -> Path:
        """The credentials, a file each."""
        return self.settings / "credentials"

    @property
    def image_script(self) -> Path:
        """The operator's script for the image."""
        return self.settings / "image.sh"

    @property
    def state(self) -> Path:
        """The daemon's state."""
        return self.root / "var/lib" / NAME

    @property
    def pools(self) -> Path:
        """Where the daemon's own storage pools are mounted, and what holds them in memory."""
        return self.root / "var/lib" / f"{NAME}-pools"

    @property
    def logs(self) -> Path:
        """What the daemon writes for others to read."""
        return self.root / "var/log" / NAME

    @property
    def metric_log(self) -> Path:
        """Metric events. It does not end as logs do: collectors find it once, by its link."""
        return self.logs / "metrics.jsonl"

    @property
    def metric_log_link(self) -> Path:
        """Where collectors and queries expect metric events."""
        return self.root / "var/log/github-runner-metrics.log"

    @property
    def notes(self) -> Path:
        """What is remembered from one event to the next."""
        return self.root / "var/lib" / f"{NAME}-charm"

    @property
    def own_config(self) -> Path:
        """Root's own copy of the configuration in use.

        What root acts on is not to be the daemon's user's file, which that user could write.
        """
        return self.notes / "config.yaml"

    @property
    def former(self) -> Path:
        """What was in use before another version, until that one has come up."""
        return self.notes / "former"

    @property
    def boot_id(self) -> Path:
        """What the kernel names each boot by: random(4)."""
        return self.root / "proc/sys/kernel/random/boot_id"

    @property
    def units(self) -> Path:
        """Units that the administrator of a machine adds: systemd.unit(5)."""
        return self.root / "etc/systemd/system"

    @property
    def modules(self) -> Path:
        """Which kernel modules are loaded at boot: modules-load.d(5)."""
        return self.root / "etc/modules-load.d" / f"{NAME}.conf"

    @property
    def sysctl(self) -> Path:
        """Which kernel settings are made at boot: sysctl.d(5)."""
        return self.root / "etc/sysctl.d" / f"60-{NAME}.conf"

    @property
    def is_container(self) -> bool:
        """Tell whether the machine is a container, whose kernel is somebody else's.

        systemd notes it there: https://systemd.io/CONTAINER_INTERFACE
        """
        return (self.root / "run/systemd/container").exists()
