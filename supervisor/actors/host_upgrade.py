"""What this host must have, looked after: a part of the upgrades' actor, in its thread."""

from datetime import datetime
from functools import partial

from loguru import logger

from supervisor.actors.upgrade_schedule import Subject, Surroundings
from supervisor.messages.upgrades import CheckUpgrades
from supervisor.upgrades import Standing
from supervisor.upgrades.reboot import Need
from supervisor.work import host as host_work
from supervisor.work.host import HostLooked

_INTERVAL_S = 3600.0
_SOON_S = 60.0
"""While something that is needed is missing, or LXD does not answer."""


class HostUpgrade(Subject):
    """Has the host looked at, and says what is missing; it is others who install it.

    Args:
        around: the upgrades' actor, which hands what it is told on to `take` and `look`.
    """

    what = "host"

    def __init__(self, around: Surroundings) -> None:
        super().__init__(around)
        self._found: HostLooked | None = None
        self._checked_at: datetime | None = None

    def start(self) -> None:
        """Look."""
        self._schedule.order(0)

    def order(self, order: CheckUpgrades) -> None:
        """Look; not at each job's end, as a host changes seldom."""
        self._schedule.order(_INTERVAL_S if order.fresh_s else 0)

    def look(self) -> None:
        """Look now, unless that is being done."""
        if self._schedule.begin():
            parts = self._parts
            work = partial(host_work.look, parts.host, parts.lxd, parts.settings.config)
            self._parts.inspecting.submit(work, self._ref)

    def take(self, found: HostLooked) -> None:
        """Take in what was found."""
        known = self._found.findings if self._found else ()
        for finding in found.findings:
            if finding not in known:
                logger.warning("this host: {}", finding)
        self._found, self._checked_at = found, self._system.clock.now()
        is_needed = any(finding.needed for finding in found.findings)
        self._schedule.end(_SOON_S if is_needed or found.unsure else _INTERVAL_S)

    @property
    def reboot_for(self) -> Need | None:
        """What a reboot is needed for; None if it is not, or that is not known yet."""
        return self._found.reboot_for if self._found else None

    def standing(self) -> Standing:
        """Say how it stands."""
        found = self._found
        if not found:
            return Standing(what=self.what, state="waiting", latest=None, looks=self.looks.done)
        needed = "; ".join(str(one) for one in found.findings if one.needed)
        # Of what can't be mended the log tells once, and the details.
        others = "; ".join(str(one) for one in found.findings if one.mend and not one.needed)
        return Standing(
            what=self.what,
            state="failing" if needed else "ready",
            installed=found.versions,
            latest=None,
            checked_at=self._checked_at,
            error=needed,
            warning=f"this host: {others}" if others else "",
            looks=self.looks.done,
            details={
                "findings": [
                    {"what": one.what, "mend": one.mend, "needed": one.needed}
                    for one in found.findings
                ]
            },
        )
