#!/usr/bin/env python3
"""The charm: what Juju tells is turned into one wanted state of the machine.

Every event but the last ones leads to the same: the machine is claimed, set up where that is due,
and given the daemon's configuration. So an event that is lost, repeated or killed half-way does no
harm: the next one does what is left.
"""

from __future__ import annotations

import logging
import os

import ops

import cos
import credentials
import debug_ssh
import faults
import options
import wording
from actions import Actions
from machine import (
    ConfigRefused,
    Fleet,
    Machine,
    MachineError,
    Setback,
    VersionRefused,
    Wanted,
)
from options import CharmOptions, OptionsError
from proxies import ModelProxies
from wording import Sentence

logger = logging.getLogger(__name__)

_DRAIN_LIMIT_S = 30.0
_JUJU_STORAGE = "juju-storage"


class NotRemoved(Exception):
    """Something of ours is left on the machine."""


class GitHubRunnerSupervisorCharm(ops.CharmBase):
    """Keeps a daemon on the machine that keeps runners."""

    _stored = ops.StoredState()
    """What can't be seen on the machine.

    `due` is the work that sets the machine up, `install` or `upgrade`, until it has succeeded;
    `runner_storage` is where runners' disks are since the daemon was configured first.
    """

    def __init__(self, framework: ops.Framework) -> None:
        super().__init__(framework)
        self._stored.set_default(due="install", runner_storage="")
        self._proxies = ModelProxies.of(os.environ)
        self._machine = Machine(
            self.charm_dir / "payload",
            self.charm_dir / "systemd",
            proxies=self._proxies.environment(),
        )
        self._found: Sentence | None = None
        self._actions = Actions(self, self._machine, self._lxd_channel)  # the framework keeps none
        self._observe()

    def _observe(self) -> None:
        on, observe = self.on, self.framework.observe
        for event in (
            on.install,
            on.config_changed,
            on.start,
            on.update_status,
            on.secret_changed,
            on.debug_ssh_relation_changed,
            on.debug_ssh_relation_departed,
            on.debug_ssh_relation_broken,
            on.cos_agent_relation_created,
            on.cos_agent_relation_joined,
            on.cos_agent_relation_changed,
        ):
            observe(event, self._reconcile)
        observe(on.upgrade_charm, self._on_upgrade_charm)
        observe(on.runner_storage_attached, self._on_storage_attached)
        observe(on.runner_storage_detaching, self._on_storage_detaching)
        observe(on.stop, self._on_stop)
        observe(on.remove, self._on_remove)
        observe(on.collect_unit_status, self._on_collect_unit_status)

    def _on_upgrade_charm(self, event: ops.UpgradeCharmEvent) -> None:
        # What is in the charm's directory is new, so this is due until it has succeeded, also when
        # the installation of the revision before never has.
        if self._stored.due != "install":
            self._stored.due = "upgrade"
        self._reconcile(event)

    def _on_storage_attached(self, event: ops.StorageAttachedEvent) -> None:
        # Juju attaches storage before it installs; then installing is left to its own event.
        if self._stored.due != "install":
            self._reconcile(event)

    def _on_storage_detaching(self, _: ops.StorageDetachingEvent) -> None:
        """Leave the storage before Juju unmounts it: it comes with the unit, and goes with it."""
        if self._runner_storage() == _JUJU_STORAGE and self._is_ours():
            self._drain()
            self._remove()
            self._stored.due = "install"

    def _on_stop(self, _: ops.StopEvent) -> None:
        if self._is_ours():
            self._drain()

    def _on_remove(self, _: ops.RemoveEvent) -> None:
        if self._is_ours():
            self._remove()

    def _reconcile(self, event: ops.EventBase) -> None:
        """Bring the machine to the wanted state, and keep how it is for the status."""
        looks_anew = isinstance(event, ops.StartEvent | ops.UpgradeCharmEvent)
        self._found = self._outcome(looks_anew=looks_anew)
        self.unit.set_workload_version(self._machine.version())
        if self._found.kind == "blocked":
            logger.error("%s", self._found.text)

    def _outcome(self, *, looks_anew: bool) -> Sentence:
        try:
            self._machine.claim(self.unit.name)
        except MachineError as error:
            return wording.taken(str(error))
        try:
            return self._bring_about(looks_anew=looks_anew)
        except OptionsError as error:
            return self._refused(str(error))
        except MachineError as error:
            return wording.disabled(str(error))

    def _bring_about(self, *, looks_anew: bool) -> Sentence:
        """Do what is to be done.

        Args:
            looks_anew: what LXD must have is looked for, although nothing says that it lacks.

        Raises:
            OptionsError: the operator has to set something otherwise.
            MachineError: the machine can't; the next event tries again.
        """
        cos.provide(self)  # first, as alerts are most wanted where the rest fails
        # Before anything is installed: this is also how a unit looks that is going away.
        self._check_storage()
        try:
            return self._keep_up(looks_anew=looks_anew)
        except OptionsError:
            self._complete()
            raise

    def _keep_up(self, *, looks_anew: bool) -> Sentence:
        """Have the daemon be there, and run with what the options say; say how that went.

        Args:
            looks_anew: as for `_bring_about`.

        Raises:
            OptionsError: the operator has to set something otherwise.
            MachineError: the machine can't; the next event tries again.
        """
        channel = self._lxd_channel()
        self._install(channel)
        fault = self._upgrade(channel)
        self._configure()
        fleet = self._machine.fleet()
        unmade = ""
        if looks_anew or (fleet is not None and fleet.lacks_in_lxd):
            unmade = self._look_into_lxd()
        if fleet is not None:
            self._reboot_if_due(fleet)
        if setback := self._machine.setback():
            return self._set_back(setback, fleet)
        if fault:
            raise fault
        found = self._how_it_is(fleet)
        if fleet is None:
            return found
        return wording.with_warning(found, unmade or self._update_warning())

    def _refused(self, reason: str) -> Sentence:
        fleet = self._machine.fleet()
        if setback := self._machine.setback():
            return self._set_back(setback, fleet, reason)
        if fleet is None and self._stored.runner_storage:
            # It was configured once, and was started again if it was down.
            reason = f"{reason}; {self._how_it_is(fleet).text}"
        return wording.refused(reason, keeps=fleet is not None)

    def _set_back(self, setback: Setback, fleet: Fleet | None, refusal: str = "") -> Sentence:
        """Say that a version did not come up, what is refused meanwhile, and how the fleet is."""
        return wording.set_back(
            setback.version,
            setback.words,
            setback.former,
            answers=fleet is not None,
            rest=filter(None, (refusal, self._how_it_is(fleet).text)),
        )

    def _how_it_is(self, fleet: Fleet | None) -> Sentence:
        if fleet is None:
            return wording.of_silence(self._machine.unit_state())
        return wording.of_fleet(fleet.status, self.unit.name)

    def _check_storage(self) -> None:
        if self._runner_storage() == _JUJU_STORAGE and not self.model.storages["runner"]:
            raise OptionsError(
                "runner-storage: the storage `runner` is not attached; "
                f"`juju add-storage {self.unit.name} runner`"
            )

    def _check_storage_stays(self, chosen: CharmOptions) -> None:
        before = str(self._stored.runner_storage)
        if before and options.storage_of(chosen) != before:
            command = options.set_option(self.app.name, "runner-storage", before)
            raise OptionsError(
                f"runner-storage: is {before} since the deployment, and can't be changed; "
                f"{command}, or deploy another application"
            )

    def _install(self, channel: str) -> None:
        """Install what the charm brings, where that is due."""
        if self._stored.due != "install":
            return
        self._machine.install(lxd_channel=channel, progress=self._say)
        # The kernel may be a new one: now nothing runs yet that a reboot would end.
        self._reboot_if_due(self._machine.fleet())
        self._stored.due = ""
        logger.info("the daemon %s is installed", self._machine.version())

    def _upgrade(self, channel: str) -> MachineError | None:
        """Have the daemon be used that the charm brings, with what the options say, if that is due.

        Returns:
            Why that failed: what is set reaches the daemon that is there all the same.
        """
        if not self._stored.due and not self._machine.is_outdated():
            return None
        try:
            wanted = self._wanted()
        except OptionsError:
            wanted = None  # told when it is to be applied; a new daemon may run meanwhile
        try:
            self._machine.upgrade(
                lxd_channel=channel,
                wanted=wanted,
                environment=self._proxies.environment(),
                progress=self._say,
            )
        except VersionRefused as error:
            why = faults.in_options(error.faults, self.app.name)
            stays = f"{error.stays} stays in use"
            return MachineError(f"version {error.version} can't be used: {why}; {stays}")
        except MachineError as error:
            return error
        self._stored.due = ""
        logger.info("the daemon %s is in use", self._machine.version())
        return None

    def _wanted(self) -> Wanted:
        """Make what the daemon is to be told.

        Raises:
            OptionsError: it can't be made of the options.
        """
        chosen = self.load_config(CharmOptions)
        self._check_storage_stays(chosen)
        found = credentials.read(chosen, self.app.name)
        document = options.document(
            chosen, self.unit.name, found, self._proxies, debug_ssh.servers(self.model)
        )
        script = chosen.image_script if "image-script" in document else ""
        return Wanted(document, found.files(), script)

    def _configure(self) -> None:
        """Have the daemon run with what the options say.

        Raises:
            OptionsError: they can't be used.
            MachineError: the machine can't; the next event tries again.
        """
        wanted = self._wanted()
        environment = self._proxies.environment()
        try:
            applied = self._machine.apply(wanted, environment=environment)
        except ConfigRefused as error:
            raise OptionsError(faults.in_options(str(error), self.app.name)) from error
        self._stored.runner_storage = str(wanted.document["runner-storage"])
        if applied.changed:
            logger.info("the daemon %s", "was restarted" if applied.restarted else "is configured")

    def _complete(self) -> None:
        """Have nothing stay half done because an option is wrong."""
        try:
            self._machine.complete()
        except MachineError as error:
            logger.warning("%s", error)

    def _look_into_lxd(self) -> str:
        """Have what somebody has deleted in LXD be made again.

        Returns:
            Why that failed: how the fleet is can be told all the same. Right after a boot LXD may
            not answer yet; what the daemon misses then, the next event makes.
        """
        try:
            self._machine.prepare_lxd(environment=self._proxies.environment())
        except MachineError as error:
            logger.warning("%s", error)
            return str(error)
        return ""

    def _update_warning(self) -> str:
        fault = self._machine.update_fault()
        again = f"`juju run {self.unit.name} update-dependencies` tries again"
        return f"update-dependencies failed: {fault}; {again}" if fault else ""

    def _reboot_if_due(self, fleet: Fleet | None) -> None:
        """Reboot the machine if that is due; Juju runs the event again after it."""
        if reason := self._machine.reboot_due(fleet):
            logger.warning("the machine is rebooted: %s", reason)
            self._say(f"rebooting: {reason}")
            self.unit.reboot(now=True)

    def _runner_storage(self) -> str:
        return str(self._stored.runner_storage) or options.storage_of(
            self.load_config(CharmOptions)
        )

    def _lxd_channel(self) -> str:
        return options.lxd_channel_of(self.load_config(CharmOptions), self.app.name)

    def _is_ours(self) -> bool:
        """Tell whether this unit has the machine; another's daemon is not to be touched."""
        try:
            self._machine.claim(self.unit.name)
        except MachineError as error:
            logger.warning("nothing is done here: %s", error)
            return False
        return True

    def _drain(self) -> None:
        self._say("ending runners")
        # Jobs may take days and a hook holds up the whole machine, so this is only for those that
        # end soon. Who wants to wait for all drains before the unit is removed.
        if left := self._machine.drain(limit_s=_DRAIN_LIMIT_S):
            logger.warning("not all runners have ended, their jobs are lost: %s", left)

    def _remove(self) -> None:
        """Take all of ours from the machine.

        Raises:
            NotRemoved: something is left. Juju shows the unit in error then, and runs the event
                again: LXD or GitHub may only have been away. It is better than a machine that is
                given back with instances that nobody looks after; an operator who knows better
                ends it with `juju resolved --no-retry`.
        """
        self._say("removing")
        left = self._machine.remove()
        for sentence in left:
            logger.error("left on the machine: %s", sentence)
        if left:
            raise NotRemoved("; ".join(left))

    def _say(self, progress: str) -> None:
        self.unit.status = ops.MaintenanceStatus(progress)

    def _on_collect_unit_status(self, event: ops.CollectStatusEvent) -> None:
        # Actions and the last events look at nothing: the status that is there stays.
        if self._found is not None:
            event.add_status(ops.StatusBase.from_name(self._found.kind, self._found.text))


def main() -> None:
    """Handle the event that Juju has started this program for."""
    ops.main(GitHubRunnerSupervisorCharm)


if __name__ == "__main__":
    main()
