"""What holds the guests to what they may reach: put in place, watched, and healed."""

import threading
from contextlib import suppress
from datetime import datetime
from functools import partial

from loguru import logger
from pykka import ActorDeadError

from supervisor import firewall_work
from supervisor.firewall.intent import Interface, policy_of
from supervisor.firewall.live import LiveTable
from supervisor.firewall.networks import Address
from supervisor.firewall.report import details
from supervisor.firewall_work import Kept, Surroundings, TableFailed, TableReady
from supervisor.gateways.nftables import Monitor, NftablesError
from supervisor.messages import (
    AnnounceFirewall,
    CheckFilters,
    CheckFirewall,
    ConfigChanged,
    FirewallChanged,
)
from supervisor.parts import Parts
from supervisor.supervision import Actor, System, Timer, handles
from supervisor.waits import doubled
from supervisor.workers import WorkFailed

_CHECK_INTERVAL_S = 60.0
_CHECK_AGAIN_S = 1.0
"""After a failure, doubled with each."""
_HEAL_AGAIN_S = 0.5
"""After a notice of a change less than a second after the last healing: there is no end to it."""
_HEARS_S = 1.0
"""After which a monitor that was started hears of changes for sure."""
_EXTERNAL = (
    "firewall: external: nothing here holds the guests to what they may reach; whoever does it "
    "must keep them from this host, from each other and from what the denylist would name"
)


class _Changed:
    """The kernel's rules have changed, by whomever."""


class _Verify:
    """It is time to see whether the kernel holds what is wanted."""


class _MonitorLost:
    """No more is heard of changes."""


class FirewallActor(Actor):
    """Tells the fleet whether the firewall is in place; while it is not, no runner is made.

    Two kinds of work are under way at most, one of each. A *check* finds out anew what is wanted
    (LXD's bridge, the names of proxies), and ends with a look into the kernel. What is noticed in
    between causes such a look alone, with what was wanted last: it needs neither LXD nor a name
    server.
    """

    def __init__(self, system: System, parts: Parts) -> None:
        super().__init__(system)
        self._parts = parts
        self._told = FirewallChanged(
            in_place=False, reason="the firewall has not been looked at yet"
        )
        self._state = "waiting"
        self._reason = self._told.reason
        self._monitor: Monitor | None = None
        self._noticed = threading.Event()
        # What is wanted.
        self._bridge: tuple[Interface, ...] = ()
        self._addresses: dict[str, tuple[Address, ...]] = {}
        self._warnings: tuple[str, ...] = ()
        self._runners: dict[str, str] = {}
        # What is there.
        self._kept: Kept | None = None
        self._live: LiveTable | None = None
        self._shown: dict[str, object] = {}
        self._stale: tuple[str, ...] = ()
        self._since: datetime | None = None
        self._verified_at: datetime | None = None
        self._healed = 0
        self._healed_s = float("-inf")
        # What is under way.
        self._checks = 0
        self._checking = False
        self._check_again = False
        self._with_runners = False
        self._is_asked = False
        self._ensuring = False
        self._ensures_check = False
        self._ensure_again = False
        self._failures = 0
        self._next: Timer | None = None

    def on_start(self) -> None:
        """Look at what there is."""
        self._show()
        self._check(CheckFirewall())

    @handles(AnnounceFirewall)
    def _announce(self, _message: AnnounceFirewall) -> None:
        self.system.directory.tell("fleet", self._told)

    @handles(ConfigChanged)
    def _config_changed(self, _message: ConfigChanged) -> None:
        # Neither LXD nor a name server is waited for: what is denied now is denied at once.
        self._ensure()
        self._check(CheckFirewall())

    # What is wanted

    @handles(CheckFirewall)
    def _check(self, message: CheckFirewall) -> int:
        self._with_runners = self._with_runners or message.with_runners
        done_by = self._checks + 1 + self._checking
        if self._checking:
            self._check_again = True
        else:
            self._begin_check()
        return done_by

    def _begin_check(self) -> None:
        self._checking, self._check_again = True, False
        if self._next:
            self._next.cancel()
            self._next = None
        config = self._parts.settings.config
        if config.firewall == "external":
            self._leave_to_others()
        elif self._listen():
            work = partial(
                firewall_work.ask,
                self._parts.lxd,
                self._parts.names,
                config,
                with_runners=self._with_runners,
            )
            self._with_runners = False
            self._parts.asking.submit(work, self.actor_ref)
        else:
            self._end_check()

    def _leave_to_others(self) -> None:
        self._state, self._reason = "ready", "firewall: external: it is left to others"
        self._warnings = (_EXTERNAL,)
        denied = self._parts.settings.config.denylist
        self._tell(FirewallChanged(in_place=True, denied=denied))
        self._end_check()

    def _listen(self) -> bool:
        """Hear of changes before the first look, so that none is missed in between."""
        if self._monitor is None:
            try:
                self._monitor = self._parts.nftables.monitor(
                    self._notice,
                    partial(self._tell_us, _MonitorLost()),
                    firewall_work.table_of(self._parts.settings.config),
                )
            except NftablesError as error:
                self._fail(str(error))
            else:
                # It says nothing of when it hears: what comes before is found by a look after.
                self.tell_after(_HEARS_S, _Verify())
        return self._monitor is not None

    @handles(Surroundings)
    def _surroundings_found(self, found: Surroundings) -> None:
        self._addresses, self._warnings = dict(found.addresses), found.warnings
        if found.runners is not None:
            self._runners = dict(found.runners)
        # Of LXD's being away others tell, and its bridge is what it was.
        if not (found.error and found.outage):
            self._bridge = found.bridge
        if self._bridge:
            self._is_asked = True
            self._ensure()
        else:
            self._fail(found.error)
            self._end_check()

    # What is there

    def _notice(self) -> None:
        """Hear of a change; in the monitor's thread. Many make one message."""
        if not self._noticed.is_set():
            self._noticed.set()
            self._tell_us(_Changed())

    def _tell_us(self, message: object) -> None:
        with suppress(ActorDeadError):
            self.actor_ref.tell(message)

    @handles(_Changed)
    def _changed(self, _message: _Changed) -> None:
        if self.system.clock.monotonic() - self._healed_s < 1:
            self.tell_after(_HEAL_AGAIN_S, _Verify())
        else:
            self._verify(_Verify())

    @handles(_Verify)
    def _verify(self, _message: _Verify) -> None:
        self._noticed.clear()
        if self._ensuring and self._kept:
            # What is under way may take seconds, in which nothing would guard.
            work = partial(
                firewall_work.close_if_gone, self._parts.nftables, self._kept.policy, self._live
            )
            self._parts.closing.submit(work, self.actor_ref)
        if not self._failures:  # otherwise it is tried again at its time
            self._ensure()

    @handles(_MonitorLost)
    def _monitor_lost(self, _message: _MonitorLost) -> None:
        raise RuntimeError("nft has ended, which tells of changes to the kernel's rules")

    def _ensure(self) -> None:
        if self._ensuring:
            self._ensure_again = True
        elif self._bridge:
            self._ensuring, self._ensure_again = True, False
            self._ensures_check, self._is_asked = self._is_asked, False
            policy = policy_of(self._parts.settings.config, self._bridge, self._addresses)
            work = partial(
                firewall_work.ensure, self._parts.nftables, policy, self._kept, self._live
            )
            self._parts.firewall.submit(work, self.actor_ref)

    @handles(TableReady)
    def _ready(self, found: TableReady) -> None:
        now, policy = self.system.clock.now(), found.kept.policy
        if found.healed:
            logger.warning("the firewall was changed, and is put back: {}", found.healed)
            self._healed += 1
            self._since = None
            self._healed_s = self.system.clock.monotonic()
            self._check_filters()  # who has changed this may have changed LXD's rules too
        elif self._kept is None or self._kept.policy != policy:
            logger.info("the firewall is in place: table inet {}", found.live.name)
        self._kept, self._live = found.kept, found.live
        self._failures = 0
        self._since, self._verified_at = self._since or now, now
        self._shown = details(policy, found.live, self._runners)
        self._stale = found.warnings
        self._state = "ready"
        self._reason = (
            f"it guards bridge {policy.bridge}: {len(policy.denied)} denied, "
            f"{len(policy.allowed)} allowed"
        )
        self._tell(FirewallChanged(in_place=True, denied=policy.denied))
        self._ensured()

    @handles(TableFailed)
    def _failed(self, failure: TableFailed) -> None:
        self._fail(failure.reason)
        self._ensured()

    @handles(WorkFailed)
    def _work_failed(self, message: WorkFailed) -> None:
        raise message.error

    def _fail(self, reason: str) -> None:
        change = FirewallChanged(in_place=False, reason=f"the firewall is not in place: {reason}")
        if change != self._told:
            logger.warning("{}", change.reason)
        self._failures += 1
        self._since = None
        self._state, self._reason = "failing", reason
        self._tell(change)

    # How it goes on

    def _ensured(self) -> None:
        self._ensuring = False
        if self._ensures_check:
            self._end_check()
        else:
            self._show()
            if not self._checking:
                self._check_later()
        if self._ensure_again:
            self._ensure()

    def _end_check(self) -> None:
        self._checks += 1
        self._checking = False
        self._show()
        self._check_filters()
        if self._check_again:
            self._begin_check()
        else:
            self._check_later()

    def _check_later(self) -> None:
        if self._next:
            self._next.cancel()
        delay_s = _CHECK_INTERVAL_S
        if self._failures:
            delay_s = doubled(_CHECK_AGAIN_S, self._failures, _CHECK_INTERVAL_S)
        self._next = self.tell_after(delay_s, CheckFirewall())

    def _tell(self, change: FirewallChanged) -> None:
        if change != self._told:
            self._told = change
            self._announce(AnnounceFirewall())

    def _check_filters(self) -> None:
        self.system.directory.tell("filters", CheckFilters(self._checks))

    def _show(self) -> None:
        self.publish(
            self._state,
            self._reason,
            **self._shown,
            in_place=self._told.in_place,
            in_place_since=self._since.isoformat() if self._since else None,
            verified_at=self._verified_at.isoformat() if self._verified_at else None,
            healed=self._healed,
            checks=self._checks,
            warnings=(*self._warnings, *self._stale),
        )

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
