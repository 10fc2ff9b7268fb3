"""The policy package, kept current: a part of the upgrades' actor, in its thread."""

from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeAlias

from loguru import logger

from supervisor.actors.upgrade_notebook import Notebook
from supervisor.actors.upgrade_schedule import Subject, Surroundings
from supervisor.gateways.environments import Environment
from supervisor.messages.upgrades import (
    AnnouncePolicyPackage,
    CheckUpgrades,
    PolicyPackageChanged,
    PolicyPackageFailed,
    PolicyPackageProven,
)
from supervisor.throttling.waits import doubled
from supervisor.upgrades import Attempts, Standing, State
from supervisor.upgrades.attempts import FIRST_WAIT_S, LONGEST_WAIT_S
from supervisor.work import package as package_work
from supervisor.work.package import FellBack, PackageNotReady, PackageReady, PackageWork, Step

_LONGEST_S = 86400.0
"""So long at most a version that has failed is not tried again."""

PackageNews: TypeAlias = (
    AnnouncePolicyPackage
    | PackageReady
    | PackageNotReady
    | PolicyPackageFailed
    | PolicyPackageProven
    | FellBack
)
"""What the policy's actor or the worker says of it."""


class PackageUpgrade(Subject):
    """Has the latest version installed and tried, and tells the policy's actor what to run.

    The version in use stays so, whatever becomes of getting another. One that fails in use gives
    its place back to the one before.

    Args:
        around: the upgrades' actor, which hands what it is told on to `take` and `look`.
    """

    what = "policy package"

    def __init__(self, around: Surroundings) -> None:
        super().__init__(around)
        self._notebook = Notebook(around.parts.upgrade_notes, self.what, around.system.clock)
        self._attempts = Attempts()
        self._in_vain = 0
        self._current: Environment | None = None
        self._current_since: datetime | None = None
        self._latest = ""
        self._latest_since: datetime | None = None
        self._checked_at: datetime | None = None
        self._error = ""
        self._step: Step | None = None
        self._progress = ""
        self._told: PolicyPackageChanged | None = None
        self._source = self._configured_source()

    def start(self) -> None:
        """Say what is there, which was found to be good, and look for a newer one."""
        self._use(self._parts.packages.current())
        if self._current:  # or else what has failed is tried at each start
            self._attempts, self._error = self._notebook.failure(self._source)
        self.announce()
        self._schedule.order(0)

    def order(self, order: CheckUpgrades) -> None:
        """Look; not at each job's end, as it takes pip seconds to say what there is.

        Who does not say how old a look may be wants it tried whatever has failed before.
        """
        if not order.fresh_s:
            self._attempts = self._attempts.again()
            self._notebook.forget_failure()
        self._schedule.order(max(order.fresh_s, self._interval_s()) if order.fresh_s else 0)

    def look(self) -> None:
        """Have the latest version installed, if it is not; unless that is being done."""
        if not self._schedule.begin():
            return
        parts, attempts, now = self._parts, self._attempts, self._system.clock.monotonic()
        source = parts.settings.config.policy.package_source
        self._source = self._configured_source()
        work = PackageWork(
            parts.packages,
            parts.settings.config,
            may_try=lambda version: attempts.may_try(version, now),
            in_use=lambda: {Path(python).parent.parent for python in parts.policy.programs},
            is_wanted=lambda: parts.settings.config.policy.package_source == source,
            note=self._note,
        )
        parts.installing.submit(work.bring_up_to_date, self._ref)

    def _note(self, step: Step, what: str) -> None:
        # In the worker's thread.
        self._step, self._progress = step, f"{step.value} {what}".rstrip()

    def take(self, news: PackageNews) -> None:
        """Take in what the policy's actor or the worker says."""
        match news:
            case AnnouncePolicyPackage():
                self.announce()
            case PackageReady() | PackageNotReady():
                self._looked(news)
            case PolicyPackageFailed():
                self._have_replaced(news)
            case PolicyPackageProven():
                path = Path(news.environment)
                work = partial(package_work.note_proven, self._parts.packages, path)
                self._parts.installing.submit(work, self._ref)
            case FellBack():
                self._fell_back(news)

    def _looked(self, news: PackageReady | PackageNotReady) -> None:
        self._step, self._progress = None, ""
        if isinstance(news, PackageReady):
            self._is_ready(news)
        else:
            self._is_not_ready(news)
        self._tell_of_changes()
        self._schedule.end(self._delay_s())

    def _is_ready(self, news: PackageReady) -> None:
        self._use(news.environment)
        self._error, self._in_vain = "", 0
        self._attempts = Attempts()
        self._notebook.forget_failure()
        self._hear_of(str(news.environment.release))
        if news.took_s:
            logger.info("{}: {} is in use, after {:.0f} s", self.what, self._latest, news.took_s)

    def _is_not_ready(self, news: PackageNotReady) -> None:
        self._in_vain += 1
        if news.version and self._current:
            self._hear_of(news.version)
        if news.tried or not news.version:
            if news.reason != self._error:
                logger.warning("{}: {}", self.what, news.reason)
            self._error = news.reason
        if news.tried:
            self._fail(news.version, is_no_good=news.refused)

    def _use(self, environment: Environment | None) -> None:
        self._current = environment
        self._current_since = self._parts.packages.switched_at() if environment else None

    def _hear_of(self, latest: str) -> None:
        self._checked_at = self._system.clock.now()
        if self._latest != latest:
            self._latest, self._latest_since = latest, self._notebook.hear_of(latest)

    def _fail(self, version: str, *, is_no_good: bool) -> None:
        # Nothing is there to wait with, where there is none that is good.
        first_s = self._interval_s() if self._current else FIRST_WAIT_S
        longest_s = _LONGEST_S if self._current else LONGEST_WAIT_S
        now = self._system.clock.monotonic()
        self._attempts = self._attempts.fail(version, now, first_s, max(first_s, longest_s))
        if is_no_good:
            self._notebook.fail(self._attempts, self._error, self._source)

    def _delay_s(self) -> float:
        if self._current or not self._in_vain:
            return self._interval_s()
        return min(self._interval_s(), doubled(FIRST_WAIT_S, self._in_vain, LONGEST_WAIT_S))

    def _configured_source(self) -> str:
        policy = self._parts.settings.config.policy
        return policy.package_source.fingerprint(policy.package_app)

    def _interval_s(self) -> float:
        return self._parts.settings.config.upgrade_interval.total_seconds()

    # One fails in use

    def _have_replaced(self, failure: PolicyPackageFailed) -> None:
        """Go back to the version before one that fails in use."""
        packages, config = self._parts.packages, self._parts.settings.config
        work = partial(package_work.fall_back, packages, config, failure)
        self._parts.installing.submit(work, self._ref)

    def _fell_back(self, news: FellBack) -> None:
        """Have the version before used again; the other is not tried again for a while."""
        self._use(news.environment)
        self._error = f"{news.failed} has failed in use: {news.reason}"
        logger.warning(
            "{}: {}; {} is in use again", self.what, self._error, news.environment.release
        )
        self._fail(news.failed, is_no_good=True)
        self._tell_of_changes()

    # Who is told

    def announce(self) -> None:
        """Tell the policy's actor which environment to use."""
        self._told = None
        self._tell_of_changes()

    def _tell_of_changes(self) -> None:
        current = self._current
        if current:
            unproven = self._parts.packages.is_unproven(current)
            change = PolicyPackageChanged(
                str(current.path), str(current.release), unproven=unproven
            )
        else:
            change = PolicyPackageChanged(reason=self._error or "it is being installed")
        if change != self._told:
            self._told = change
            self._system.directory.tell("policy", change)

    def standing(self) -> Standing:
        """Say how it stands."""
        installed = str(self._current.release) if self._current else ""
        serves = installed and self._error
        return Standing(
            what=self.what,
            state=self._state(),
            installed=installed,
            installed_at=self._current_since,
            latest=self._latest,
            latest_since=self._latest_since,
            checked_at=self._checked_at,
            error=self._error,
            warning=f"{self.what} {installed} stays in use: {self._error}" if serves else "",
            progress=self._progress,
            looks=self.looks.done,
            details={"environment": str(self._current.path) if self._current else ""},
        )

    def _state(self) -> State:
        if self._current:
            return "ready" if self._step in {None, Step.ASKS} else "upgrading"
        if self._error:
            return "failing"
        return "upgrading" if self._progress else "waiting"
