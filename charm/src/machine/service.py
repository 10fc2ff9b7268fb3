"""The daemon as a service: what it is given, and told of it once it is on the disk."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from . import files
from .configuration import Configuration, Wanted, text_of
from .environment import Environments
from .errors import ConfigRefused, MachineError
from .files import Owner
from .places import Places
from .supervisor import Given, Supervisor
from .told import Step, Told, ToldNote, step
from .units import Units

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Applied:
    """What became of a configuration.

    Attributes:
        changed: the daemon was told something new, or started.
        restarted: it was started anew for that.
    """

    changed: bool
    restarted: bool


class Service:
    """That of one machine.

    Args:
        places: where things are.
        configuration: on the disk.
        environments: of the daemon's code.
        units: of systemd.
        supervisor: the daemon's command.
    """

    def __init__(
        self,
        places: Places,
        configuration: Configuration,
        environments: Environments,
        units: Units,
        supervisor: Supervisor,
    ) -> None:
        self._places = places
        self._configuration = configuration
        self._environments = environments
        self._units = units
        self._supervisor = supervisor
        self._told = ToldNote(places.notes / "told.json")
        self.prepared = places.notes / "prepared.yaml"
        """The configuration that LXD was made ready for last."""

    def apply(self, wanted: Wanted, owner: Owner, environment: Mapping[str, str]) -> Applied:
        """Have the daemon run with what is wanted.

        Args:
            wanted: by the operator.
            owner: the daemon's user.
            environment: what the commands are told that check it and prepare LXD.

        Raises:
            ConfigRefused: the daemon would not take it.
            MachineError: the machine can't.
            OSError: it can't be written.
        """
        self._configuration.discard_candidate()
        before = self._on_disk()
        restart_keys: tuple[str, ...] = ()
        if not self._configuration.holds(wanted, owner):
            restart_keys = self._replace(wanted, owner, environment)
        done = self._tell(before, restart_keys)
        return Applied(done != "nothing", done == "restart")

    def take_software(self, progress: Callable[[str], None]) -> None:
        """Have a daemon that runs be started anew with what was installed, if that is another.

        Args:
            progress: is told what is being done.

        Raises:
            MachineError: it does not come up.
            OSError: that can't be noted.
        """
        now = self._on_disk()
        if self._configuration.exists and self._units.life() != "down":
            if self._told.read() != now:
                progress("starting the daemon anew")
            self._tell(now)

    def fault_of(self, environment: Path) -> str:
        """Say why an environment can't be used: it does not take the configuration in use.

        Args:
            environment: its directory.

        Returns:
            Why; empty if it can, or the one in use takes the configuration no better.
        """
        if not self._configuration.exists:
            return ""
        fault = self._refusal_by(environment / "bin/supervisor-cli")
        if not fault or self._refusal_by(self._places.cli):
            return ""
        return f"it does not take the present configuration: {fault}"

    def _refusal_by(self, cli: Path) -> str:
        try:
            self._supervisor.by(cli).check(Given(self._places.config, self._places.credentials))
        except (ConfigRefused, MachineError) as refused:
            return " ".join(str(refused).split())
        return ""

    def _replace(
        self, wanted: Wanted, owner: Owner, environment: Mapping[str, str]
    ) -> tuple[str, ...]:
        """Have what is wanted on the disk; give the keys that need a restart."""
        running = self._places.config if self._configuration.exists else None
        with self._configuration.candidate(wanted, owner) as new:
            try:
                checked = self._supervisor.check(new, running=running, environment=environment)
                # Noted first: what LXD was made ready for is to be removed some day in any case.
                files.ensure(self.prepared, text_of(wanted.document))
                made = self._supervisor.prepare_lxd(new, environment=environment)
            except (ConfigRefused, MachineError):
                self._keep_running()
                raise
            for line in made:
                _log.info("%s", line)
            self._configuration.switch(wanted, owner, self._units.load_credentials)
        return checked.restart

    def _keep_running(self) -> None:
        """Have a daemon that is down run with what it had, as what is wanted can't be had."""
        if not self._configuration.exists or self._units.life() != "down":
            return
        try:
            self._units.start()
        except MachineError as error:
            _log.warning("%s", error)

    def _tell(self, before: Told, restart_keys: tuple[str, ...] = ()) -> Step:
        """Have the daemon run with what is on the disk; give what that took."""
        now = self._on_disk()
        wanted = step(
            told=self._told.read(),
            before=before,
            now=now,
            life=self._units.life(),
            restart_keys=restart_keys,
        )
        if wanted == "nothing":
            return wanted
        self._units.read_again()
        self._units.enable()
        {
            "start": self._units.start,
            "restart": self._units.restart,
            "reload": self._units.reload,
        }[wanted]()
        self._told.write(now)
        return wanted

    def _on_disk(self) -> Told:
        return Told(
            software=f"{self._environments.in_use} {self._units.digest()}",
            credentials=self._configuration.credentials_digest(),
            configuration=self._configuration.digest(),
        )
