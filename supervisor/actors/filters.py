"""LXD's own filters of guests and bridge: looked at, and made anew by LXD when they are gone."""

from collections.abc import Iterator, Mapping
from functools import partial

from loguru import logger

from supervisor.lifecycle import AVAILABLE, DeletionOrdered
from supervisor.messages.filters import CheckFilters
from supervisor.messages.firewall import CheckFirewall
from supervisor.messages.runner import Happened
from supervisor.parts import Parts
from supervisor.supervision import Actor, System, Timer, handles
from supervisor.throttling.waits import doubled
from supervisor.work import filters as filters_work
from supervisor.work.filters import BRIDGE, FiltersSeen, Restored, Swept
from supervisor.workers import WorkFailed

_AGAIN_S = 1.0
"""After a failure, doubled with each."""
_LONGEST_S = 60.0
_FAILURES = 3
"""After which a runner without filters is replaced, if it waits for a job."""


class _Look:
    """It is time for another try."""


class FiltersActor(Actor):
    """Keeps up what LXD drops at the guests' ports and lets through at the bridge.

    It looks when the firewall's actor has done so, and has LXD make anew what is not there: for a
    guest in line with all other work on its instance. Whether that has helped the next look says.
    What LXD leaves there of guests that are gone, it deletes.
    """

    def __init__(self, system: System, parts: Parts) -> None:
        super().__init__(system)
        self._parts = parts
        self._asked = 0
        self._checks = 0
        self._looks = 0
        self._looking = False
        self._look_again = False
        # Whether the next look, and the one under way, may have made anew what that has not helped.
        self._may_retry = False
        self._retries = False
        self._lacking: Mapping[str, str] = {}
        self._spelled: Mapping[str, str] = {}
        self._builders: frozenset[str] = frozenset()
        self._warnings: tuple[str, ...] = ()
        self._known = False
        # By the guest's name, or BRIDGE.
        self._restoring: dict[str, float] = {}
        self._restored: dict[str, tuple[Restored, int]] = {}
        self._failures: dict[str, int] = {}
        self._errors: dict[str, str] = {}
        self._healed = 0
        self._sweeping = False
        self._unswept: tuple[str, ...] = ()
        self._next: Timer | None = None

    def on_start(self) -> None:
        """Have all be looked at."""
        self._show()
        self.system.directory.tell("firewall", CheckFirewall())

    @handles(CheckFilters)
    def _check(self, message: CheckFilters) -> None:
        self._asked = message.checks
        self._may_retry = True
        self._look()

    @handles(_Look)
    def _look_in_time(self, _message: _Look) -> None:
        self._may_retry = True
        self._look()

    def _look(self) -> None:
        config = self._parts.settings.config
        if config.firewall == "external":
            self._seen(FiltersSeen(self._asked))
        elif self._looking:
            self._look_again = True
        else:
            self._looking, self._look_again = True, False
            self._retries, self._may_retry = self._may_retry, False
            self._looks += 1
            work = partial(
                filters_work.look,
                self._parts.lxd,
                self._parts.nftables,
                config,
                self._spelled,
                self._asked,
            )
            self._parts.asking.submit(work, self.actor_ref)

    @handles(FiltersSeen)
    def _seen(self, seen: FiltersSeen) -> None:
        self._looking = False
        self._checks = seen.checks
        if seen.error:  # what was known before is all that is known
            self._warnings = (f"LXD's filters of guests can't be looked at: {seen.error}",)
        else:
            self._known = True
            self._warnings = (seen.warning,) if seen.warning else ()
            self._lacking, self._spelled = seen.lacking, seen.spelled
            self._builders = seen.builders
            failed = self._judge()
            if not self._retries:
                # Those that look after what was made anew: two guests that nothing helps would
                # have each other made anew without end.
                failed |= self._errors.keys()
            for name in sorted(self._lacking.keys() - failed):
                if not self._is_restoring(name) and name not in self._restored:
                    self._restore(name)
            self._replace_one()
            if seen.left_over:
                self._sweep()
        self._show()
        if self._look_again:
            self._look()
        elif self._failures or seen.error:
            self._look_later()

    # What is made anew

    def _restore(self, name: str) -> None:
        lxd, config = self._parts.lxd, self._parts.settings.config
        self._restoring[name] = self.system.clock.monotonic()
        if name == BRIDGE:
            work = partial(filters_work.restore_bridge, lxd, config.lxd.network)
            self._parts.asking.submit(work, self.actor_ref)
        elif name in self._builders:
            # Lanes are runners': who has one is taken for a runner by a fleet that starts anew.
            work = partial(filters_work.restore, lxd, name)
            self._parts.asking.submit(work, self.actor_ref)
        else:
            work = partial(filters_work.restore, lxd, name)
            self._parts.lanes.submit(name, self._parts.tending, work, self.actor_ref)

    @handles(Restored)
    def _was_restored(self, outcome: Restored) -> None:
        self._restoring.pop(outcome.name, None)
        self._restored[outcome.name] = (outcome, self._looks)
        self._spelled = {k: v for k, v in self._spelled.items() if k != outcome.name}
        self._look()

    def _is_restoring(self, name: str) -> bool:
        # Work that waits in a lane is dropped when its runner's actor starts anew.
        since = self._restoring.get(name, float("-inf"))
        return self.system.clock.monotonic() - since < _LONGEST_S

    def _judge(self) -> set[str]:
        """Judge what was made anew before this look began; return what is lacking all the same."""
        failed = set()
        for name, (outcome, looks) in list(self._restored.items()):
            if looks == self._looks:
                continue  # this look may be older
            del self._restored[name]
            if name not in self._lacking:
                if name == BRIDGE or name in self._spelled:
                    self._healed += 1
                    logger.warning("{} were gone, and LXD has put them back", _filters_of(name))
            else:
                failed.add(name)
                error = outcome.error or "LXD says that it has made them, and they are not there"
                if error != self._errors.get(name):
                    logger.warning("{} are gone: {}", _filters_of(name), error)
                self._errors[name] = error
                self._failures[name] = self._failures.get(name, 0) + (not outcome.outage)
        # What this look has compared with is not what LXD has made of these since.
        self._spelled = {k: v for k, v in self._spelled.items() if k not in self._restored}
        self._restoring = {k: v for k, v in self._restoring.items() if self._is_restoring(k)}
        self._failures = {k: v for k, v in self._failures.items() if k in self._lacking}
        self._errors = {k: v for k, v in self._errors.items() if k in self._lacking}
        return failed

    def _replace_one(self) -> None:
        """Let go of a runner that LXD will not filter, one at a time; one at work is left."""
        for name in sorted(name for name, count in self._failures.items() if count >= _FAILURES):
            entry = self._parts.roster.get(name)
            if entry and entry.life.stage in AVAILABLE:
                why = f"LXD does not filter what it sends: {self._lacking[name]}"
                self.system.directory.tell(name, Happened(DeletionOrdered(why)))
                return

    # What is left over

    def _sweep(self) -> None:
        if self._sweeping:
            return
        self._sweeping = True
        parts = self._parts
        work = partial(filters_work.sweep, parts.lxd, parts.nftables, parts.settings.config)
        parts.asking.submit(work, self.actor_ref)

    @handles(Swept)
    def _was_swept(self, outcome: Swept) -> None:
        self._sweeping = False
        if outcome.chains:
            logger.info(
                "deleted what LXD has left of guests that are gone: {}", ", ".join(outcome.chains)
            )
        said = f"what LXD has left of guests that are gone can't be deleted: {outcome.error}"
        before, self._unswept = self._unswept, (said,) if outcome.error else ()
        if self._unswept and self._unswept != before:
            logger.warning("{}", said)
        self._show()

    # When it looks again

    def _look_later(self) -> None:
        if self._next:
            self._next.cancel()
        failures = max(self._failures.values(), default=0) or 1
        self._next = self.tell_after(doubled(_AGAIN_S, failures, _LONGEST_S), _Look())

    # How it is told

    def _show(self) -> None:
        guests = sorted(name for name in self._lacking if name != BRIDGE)
        config = self._parts.settings.config
        state, reason = "ready", "LXD filters what guests send"
        if not self._known:
            state, reason = "waiting", "LXD's filters of guests have not been looked at yet"
        elif config.firewall == "external":
            reason = "firewall: external: it is left to others"
        elif self._lacking:
            state, reason = "failing", "; ".join(self._faults(guests))
        elif self._warnings:
            reason = self._warnings[0]
        self.publish(
            state,
            reason,
            unfiltered=guests,
            restored=self._healed,
            checks=self._checks,
            warnings=(*self._warnings, *self._unswept),
        )

    def _faults(self, guests: list[str]) -> Iterator[str]:
        if guests:
            first = guests[0]
            why = self._errors.get(first) or self._lacking[first]
            yield f"without LXD's filters: {', '.join(guests)} ({why})"
        if BRIDGE in self._lacking:
            bridge = self._parts.settings.config.lxd.network
            yield f"LXD's rules of bridge {bridge} are not in place: {self._lacking[BRIDGE]}"
            if BRIDGE in self._errors:
                yield f"{self._errors[BRIDGE]}; what helps: {self._parts.lxd.restart_command}"

    @handles(WorkFailed)
    def _work_failed(self, message: WorkFailed) -> None:
        raise message.error


def _filters_of(name: str) -> str:
    return f"LXD's filters of {name}" if name else "LXD's rules of the bridge"
