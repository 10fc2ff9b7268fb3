"""What holds the guests to what they may reach: put in place, watched, and healed."""

import threading
from contextlib import suppress
from datetime import datetime

from loguru import logger
from pykka import ActorDeadError

from supervisor.actors.firewall_checks import FirewallChecks
from supervisor.actors.firewall_looks import FirewallLooks
from supervisor.causes import Cause, Fault
from supervisor.firewall.intent import intent_of
from supervisor.firewall.report import details
from supervisor.gateways.nftables_notices import Monitor
from supervisor.messages.configuration import ConfigChanged
from supervisor.messages.filters import CheckFilters
from supervisor.messages.firewall import (
    AnnounceFirewall,
    CheckFirewall,
    CheckOrdered,
    FirewallChanged,
)
from supervisor.parts import Parts
from supervisor.supervision import Actor, System, Timer, handles
from supervisor.work import firewall as firewall_work
from supervisor.work.firewall import Surroundings, TableFailed, TableReady
from supervisor.workers import WorkFailed

_HEAL_AGAIN_S = 0.5
"""After a notice of a change less than a second after the last healing: there is no end to it."""
_UNSEEN = "the firewall has not been looked at yet"


class _Changed:
    """The kernel's rules have changed, by whomever."""


class _Look:
    """It is time to see whether the kernel holds what is wanted."""


class FirewallActor(Actor):
    """Tells the fleet whether the firewall is in place; while it is not, no runner is made.

    Two kinds of work are under way at most, one of each. A *check* finds out anew what is wanted
    (LXD's bridge, the names of proxies), and ends with a *look* into the kernel. What is noticed in
    between causes such a look alone, with what was wanted last. One that fails is repeated by
    itself, however long LXD keeps a check.
    """

    def __init__(self, system: System, parts: Parts) -> None:
        super().__init__(system)
        self._parts = parts
        self._checks = FirewallChecks(parts, self.actor_ref)
        self._looks = FirewallLooks(parts, self.actor_ref)
        self._told = FirewallChanged(in_place=False, reason=_UNSEEN)
        self._monitor: Monitor | None = None
        self._noticed = threading.Event()
        self._changed_since = False
        self._checked_by: int | None = None
        self._next_check: Timer | None = None
        self._next_look: Timer | None = None
        self._since: datetime | None = None
        self._verified_at: datetime | None = None
        self._healed = 0
        self._healed_s = float("-inf")

    def on_start(self) -> None:
        """Listen, and look at what there is."""
        config = self._parts.settings.config
        if not self._is_external:
            about = firewall_work.table_of(config)
            self._monitor = self._parts.nftables.monitor(self._notice, about)
        self._show()
        self._check(CheckFirewall())

    @property
    def _is_external(self) -> bool:
        return self._parts.settings.config.firewall == "external"

    @handles(AnnounceFirewall)
    def _announce(self, _message: AnnounceFirewall) -> None:
        for name in ("image", "fleet"):
            self.system.directory.tell(name, self._told)

    @handles(ConfigChanged)
    def _config_changed(self, _message: ConfigChanged) -> None:
        # Neither LXD nor a name server is waited for: what is denied now is denied at once.
        self._look()
        self._check(CheckFirewall())

    # What is wanted

    @handles(CheckFirewall)
    def _check(self, message: CheckFirewall) -> CheckOrdered:
        if self._next_check:
            self._next_check.cancel()
            self._next_check = None
        return self._checks.order(with_runners=message.with_runners)

    @handles(Surroundings)
    def _surroundings_found(self, found: Surroundings) -> None:
        for warning in found.warnings:
            if warning not in self._checks.known.warnings:
                logger.warning("{}", warning)
        self._checks.take(found)
        self._checked_by = self._look()
        if self._checked_by is None:
            self._end_check()

    def _end_check(self) -> None:
        self._checked_by = None
        again_s = self._checks.end()
        if again_s is not None:
            self._next_check = self.tell_after(again_s, CheckFirewall())
        self._show()
        self._check_filters()

    # What is there

    def _look(self) -> int | None:
        """Have the kernel looked at, and say which look it will be; None if there is no need."""
        if self._is_external or not self._checks.known.bridge:
            return None
        if self._next_look:
            self._next_look.cancel()
            self._next_look = None
        if not self._looks.under_way:
            # Before it begins: what comes from now on it may not see.
            self._noticed.clear()
            self._changed_since = False
        return self._looks.look(self._checks.known)

    def _notice(self) -> None:
        """Hear of a change; in the monitor's thread. Many make one message."""
        if not self._noticed.is_set():
            self._noticed.set()
            with suppress(ActorDeadError):
                self.actor_ref.tell(_Changed())

    @handles(_Changed)
    def _changed(self, _message: _Changed) -> None:
        if not self._noticed.is_set():
            return  # a look has begun since
        self._noticed.clear()
        self._changed_since = True
        if self._looks.under_way:
            self._looks.close_if_gone()
        else:
            self._look_if_changed()

    def _look_if_changed(self) -> None:
        if not self._changed_since or self._next_look:
            return  # after one that failed there is one to come
        if self.system.clock.monotonic() - self._healed_s < 1:
            self._next_look = self.tell_after(_HEAL_AGAIN_S, _Look())
        else:
            self._look()

    @handles(_Look)
    def _time_to_look(self, _message: _Look) -> None:
        self._look()

    @handles(TableReady)
    def _ready(self, found: TableReady) -> None:
        before = self._looks.kept
        self._verified_at = self.system.clock.now()
        if found.healed:
            logger.warning("the firewall was changed, and is put back: {}", found.healed)
            self._healed += 1
            self._healed_s = self.system.clock.monotonic()
            self._since = None
            self._check_filters()  # who has changed this may have changed LXD's rules too
        elif before is None or before.policy != found.kept.policy:
            logger.info("the firewall is in place: table inet {}", found.live.name)
        self._looked(found)

    @handles(TableFailed)
    def _failed(self, failure: TableFailed) -> None:
        self._looked(failure)

    def _looked(self, found: TableReady | TableFailed) -> None:
        looks = self._looks
        looks.take(found)
        if self._checked_by is not None and looks.done >= self._checked_by:
            self._end_check()
        else:
            self._show()
        if looks.again:
            self._look()
        elif looks.retry_s:
            self._next_look = self.tell_after(looks.retry_s, _Look())
        else:
            self._look_if_changed()

    @handles(WorkFailed)
    def _work_failed(self, message: WorkFailed) -> None:
        raise message.error

    # What others see

    def _check_filters(self) -> None:
        self.system.directory.tell("filters", CheckFilters(self._checks.done))

    def _show(self) -> None:
        state, reason, cause = self._in_words()
        is_ready = state == "ready"
        self._since = (self._since or self.system.clock.now()) if is_ready else None
        known, looks = self._checks.known, self._looks
        intent = intent_of(self._parts.settings.config) if self._is_external else looks.intent
        self._tell(
            FirewallChanged(
                in_place=is_ready,
                reason="" if is_ready else _for_the_fleet(reason),
                intent=intent if is_ready else None,
                filters_ipv6=known.filters_ipv6,
                servers=known.servers,
            )
        )
        shown = {}
        if looks.kept and looks.live:
            shown = details(looks.kept.policy, looks.live, known.runners or {})
        self.publish(
            state,
            reason,
            cause=str(cause),
            **shown,
            in_place=is_ready,
            in_place_since=self._since.isoformat() if self._since else None,
            verified_at=self._verified_at.isoformat() if self._verified_at else None,
            healed=self._healed,
            checks=self._checks.done,
            incarnation=self._checks.incarnation,
            warnings=(*known.warnings, *looks.warnings),
        )

    def _in_words(self) -> tuple[str, str, Cause]:
        if self._is_external and self._checks.done:
            return "ready", "firewall: external: it is left to others", Cause.UNKNOWN
        known = self._checks.known
        if fault := Fault(known.error, known.cause) or self._looks.fault:
            return "failing", fault.reason, fault.cause
        if self._looks.kept is None:
            return "waiting", _UNSEEN, Cause.UNKNOWN
        policy = self._looks.kept.policy
        reason = (
            f"it guards bridge {policy.bridge}: {len(policy.denied)} denied, "
            f"{len(policy.allowed) + len(policy.elsewhere)} allowed"
        )
        return "ready", reason, Cause.UNKNOWN

    def _tell(self, change: FirewallChanged) -> None:
        if change == self._told:
            return
        if change.reason not in {self._told.reason, "", _UNSEEN}:
            logger.warning("{}", change.reason)
        self._told = change
        self._announce(AnnounceFirewall())

    # Its end

    def on_stop(self) -> None:
        """Listen no more; the rules stay."""
        self._close()

    def on_failure(self, *_error: object) -> None:
        """Listen no more: the next incarnation listens for itself."""
        self._close()

    def _close(self) -> None:
        if self._monitor:
            self._monitor.close()
        self._monitor = None


def _for_the_fleet(reason: str) -> str:
    return reason if reason == _UNSEEN else f"the firewall is not in place: {reason}"
