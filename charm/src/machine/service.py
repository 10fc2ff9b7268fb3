"""The daemon as a service: what it is given, and told of it once it is on the disk."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from . import files
from .configuration import Configuration, Wanted
from .environment import Environments
from .errors import ConfigRefused, MachineError, VersionRefused
from .files import Owner
from .places import Places
from .setback import Setback, SetbackNote
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
        self._configuration = configuration
        self._environments = environments
        self._units = units
        self._supervisor = supervisor
        self._told = ToldNote(places.notes / "told.json")
        self._setback = SetbackNote(places.notes / "setback.json")
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
        self._put_back(owner)
        return self._apply(wanted, owner, environment, self._environments.in_use)

    def upgrade(
        self, version: str, wanted: Wanted | None, owner: Owner, environment: Mapping[str, str]
    ) -> None:
        """Have another version run, with what is wanted, by one start.

        Where what is wanted is refused by either version, or can't be made, the new one takes over
        what is in use, if it takes that.

        Args:
            version: that is there.
            wanted: by the operator; None if it can't be made of the options.
            owner: the daemon's user.
            environment: what the commands are told that check it and prepare LXD.

        Raises:
            VersionRefused: the new version can't be used; the former one stays.
            MachineError: the machine can't.
            OSError: it can't be written.
        """
        self._put_back(owner)
        self._setback.forget()
        former = self._environments.in_use
        if not self._configuration.exists:
            self._take(version)
            return
        if version == former:
            if wanted is None:
                self._complete(owner)
            return
        fault = ""
        if wanted is not None:
            fault = self._refusal(version, wanted, owner, environment)
            if not fault:
                self._apply(wanted, owner, environment, version)
                return
            if not self._refusal(former, wanted, owner, environment):
                raise VersionRefused(version, former, fault)
        if present := self._check(version, self._configuration.in_use, environment):
            raise VersionRefused(version, former, fault or present)
        before = self._on_disk()
        self._take(version)
        self._tell(before, owner)

    def complete(self, owner: Owner) -> None:
        """Do what a hook that was killed has left half done, whatever is wanted.

        Args:
            owner: the daemon's user.

        Raises:
            MachineError: the machine can't.
            OSError: it can't be written.
        """
        self._put_back(owner)
        self._complete(owner)

    def prepare_lxd(self, environment: Mapping[str, str]) -> list[str]:
        """Have what is missing in LXD be made again; return a line for each thing that was.

        Args:
            environment: what the command is told.

        Raises:
            MachineError: LXD can't.
        """
        if not self._configuration.exists:
            return []
        return self._supervisor.prepare_lxd(self._configuration.in_use, environment=environment)

    def setback(self) -> Setback | None:
        """Give the version that did not come up, and was not tried again."""
        return self._setback.read()

    def _refusal(
        self, version: str, wanted: Wanted, owner: Owner, environment: Mapping[str, str]
    ) -> str:
        """Say why a version would not take what is wanted; empty if it would."""
        with self._configuration.candidate(wanted, owner) as new:
            return self._check(version, new, environment)

    def _check(self, version: str, given: Given, environment: Mapping[str, str]) -> str:
        try:
            self._by(version).check(given, environment=environment)
        except (ConfigRefused, MachineError) as refused:
            return str(refused)
        return ""

    def _by(self, version: str) -> Supervisor:
        return self._supervisor.by(self._environments.cli(version))

    def _apply(
        self, wanted: Wanted, owner: Owner, environment: Mapping[str, str], version: str
    ) -> Applied:
        self._configuration.discard_candidate()
        before = self._on_disk()
        restart_keys: tuple[str, ...] = ()
        is_same = version == self._environments.in_use
        if not is_same or not self._configuration.holds(wanted, owner):
            restart_keys = self._replace(wanted, owner, environment, version)
        self._units.write()  # a hook that was killed may not have got so far
        done = self._tell(before, owner, restart_keys)
        return Applied(done != "nothing", done == "restart")

    def _replace(
        self, wanted: Wanted, owner: Owner, environment: Mapping[str, str], version: str
    ) -> tuple[str, ...]:
        """Have what is wanted on the disk; give the keys that need a restart."""
        supervisor = self._by(version)
        # Another version is started anew in any case, and may not know what this one reads.
        is_same = version == self._environments.in_use
        running = self._configuration.in_use.config
        against = running if is_same and running.exists() else None
        with self._configuration.candidate(wanted, owner) as new:
            try:
                checked = supervisor.check(new, running=against, environment=environment)
                # Noted first: what LXD was made ready for is to be removed some day in any case.
                files.ensure(self.prepared, wanted.text)
                made = supervisor.prepare_lxd(new, environment=environment)
            except (ConfigRefused, MachineError):
                self._keep_running(owner)
                raise
            for line in made:
                _log.info("%s", line)
            self._take(version)
            self._configuration.switch(wanted, owner, self._units.load_credentials)
        return checked.restart

    def _take(self, version: str) -> None:
        """Have another version on the disk, with its units; what is in use is kept meanwhile."""
        told, former = self._told.read().version, self._environments.in_use
        if version != former:
            # What never came up is nothing to go back to.
            if told and told == former:
                self._configuration.keep()
            self._environments.use(version)
            self._environments.prune([told])
        self._units.write()

    def _complete(self, owner: Owner) -> None:
        """Have the daemon run with what is on the disk."""
        self._units.write()  # a hook that was killed may not have got so far
        self._tell(self._on_disk(), owner)

    def _keep_running(self, owner: Owner) -> None:
        """Have the daemon run with what is on the disk, as what is wanted can't be had."""
        if not self._configuration.exists:
            return
        try:
            self._complete(owner)
        except MachineError as error:
            _log.warning("%s", error)

    def _tell(self, before: Told, owner: Owner, restart_keys: tuple[str, ...] = ()) -> Step:
        """Have the daemon run with what is on the disk; give what that took.

        A version that was never told anything yet is on trial: if it does not come up, the former
        one runs on with what it had.
        """
        now, told = self._on_disk(), self._told.read()
        wanted = step(
            told=told,
            before=before,
            now=now,
            life=self._units.life(),
            restart_keys=restart_keys,
        )
        if wanted != "nothing":
            self._units.read_again()
            self._units.enable()
            try:
                self._act(wanted, on_trial=told.version != now.version)
            except MachineError as error:
                if not self._can_go_back(told, now):
                    raise
                words = self._units.last_words() or str(error)
                return self._go_back(Setback(now.version, told.version, words), owner)
            self._told.write(now)
        self._configuration.forget_former()
        return wanted

    def _act(self, step: Step, *, on_trial: bool) -> None:
        if step == "reload":
            self._units.reload()
        elif step == "restart":
            self._units.restart(on_trial=on_trial)
        else:
            self._units.start(on_trial=on_trial)

    def _can_go_back(self, told: Told, now: Told) -> bool:
        return (
            told.version != now.version
            and self._configuration.has_former
            and self._environments.has(told.version)
        )

    def _go_back(self, setback: Setback, owner: Owner) -> Step:
        """Have the former version run with what it had; give what that took."""
        _log.error("version %s did not come up: %s", setback.version, setback.words)
        self._setback.write(setback)
        self._put_back(owner)
        return self._tell(self._on_disk(), owner)

    def _put_back(self, owner: Owner) -> None:
        """Have on the disk what was there before a version that did not come up, if it is not yet.

        A hook may have been killed in the midst of that.
        """
        setback = self._setback.read()
        if setback is None or not self._configuration.has_former:
            return
        self._environments.use(setback.former)
        self._units.write()
        # Whatever runs now, it is to be started anew.
        self._told.write(Told(setback.former))
        self._configuration.put_back(owner, self._units.load_credentials)

    def _on_disk(self) -> Told:
        return Told(
            version=self._environments.in_use,
            units=self._units.digest(),
            credentials=self._configuration.credentials_digest(),
            configuration=self._configuration.digest(),
        )
