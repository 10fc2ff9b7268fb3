"""The runner application, kept current: a part of the upgrades' actor, in its thread.

The verified one that is in use stays so, whatever becomes of getting a newer one.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import partial

from loguru import logger

from supervisor.actors.upgrade_notebook import Notebook
from supervisor.actors.upgrade_schedule import Subject, Surroundings
from supervisor.gateways.application_store import ApplicationStore
from supervisor.messages.tokens import ApplicationNotOffered, ApplicationOffered, AskApplication
from supervisor.messages.upgrades import ApplicationChanged, CheckUpgrades
from supervisor.observation import log
from supervisor.throttling.waits import doubled
from supervisor.upgrades import Attempts, Standing, State
from supervisor.upgrades.application import Application
from supervisor.upgrades.attempts import FIRST_WAIT_S, LONGEST_WAIT_S
from supervisor.upgrades.older import OlderOffer, follow
from supervisor.work import application as application_work
from supervisor.work.application import NotObtained, Obtained, Progress

_WHAT = "runner application"
_REFUSED_S = 3600.0
_REFUSED_LONGEST_S = 86400.0
"""So long an offer that is no good is not got again: the first time, and with doubling at most."""


@dataclass(frozen=True)
class Verified:
    """The worker's message: which of those on the disk is good, at the start."""

    application: Application | None


class ApplicationUpgrade(Subject):
    """Asks for GitHub's offer again and again, has it got and verified, and tells who needs it.

    Args:
        around: the upgrades' actor, which hands what it is told on to `take` and `look`.
    """

    what = _WHAT

    def __init__(self, around: Surroundings) -> None:
        super().__init__(around)
        self._notebook = Notebook(around.parts.upgrade_notes, _WHAT, around.system.clock)
        self._attempts = Attempts()
        self._is_verified = self._is_asked = False
        self._current: Application | None = None
        self._offer: Application | None = None
        self._current_since: datetime | None = None
        self._offered_since: datetime | None = None
        self._checked_at: datetime | None = None
        self._unasked: ApplicationNotOffered | None = None
        self._asked_in_vain = 0
        self._failure = ""
        self._warned = ""
        self._is_ordered = False
        self._older: OlderOffer | None = None
        self._progress: Progress | None = None
        self._told: ApplicationChanged | None = None

    # When it is looked for.

    def start(self) -> None:
        """Use what is there, and look for a newer one.

        What this process has not verified yet is verified first; until then there is none. What it
        has is used at once: the worker may be at a long download for an incarnation before.
        """
        store = self._parts.applications
        current = store.current()
        if current and store.is_verified(current.sha256):
            self._begin_with(current)
        else:
            self._parts.upgrading.submit(partial(_verify, store), self._ref)
        self.ask_again()
        self.announce()

    def _begin_with(self, verified: Application | None) -> None:
        """Take in what there is; with one that serves, what was no good is not got at each start.

        Nor does the day begin anew for which an older one must be offered.
        """
        self._is_verified = True
        self._use(verified)
        if verified:
            self._attempts, self._failure = self._notebook.failure()
            self._older = self._notebook.older()

    def order(self, order: CheckUpgrades) -> None:
        """Look now, or soon if that was done just before.

        Who does not say how old a look may be wants it tried whatever has failed before.
        """
        if not order.fresh_s:
            self._attempts = self._attempts.again()
            self._notebook.forget_failure()
        elif self._unasked:
            return  # who refuses, or is away, is not asked at each job
        self._is_ordered |= order.ordered
        if log.is_written("DEBUG"):  # it is ordered for each runner
            logger.debug("{}: a newer one is to be looked for: {}", _WHAT, order.why)
        self._schedule.order(order.fresh_s)

    def ask_again(self) -> None:
        """Ask now, as GitHub may have been asked in vain; what has failed waits for its time."""
        self._schedule.order(0)

    def look(self) -> None:
        """Ask what GitHub offers, unless that is being done."""
        if self._schedule.begin() and self._is_verified:  # or else the first look has still to ask
            self._ask()

    def _ask(self) -> None:
        self._is_asked = True
        self._system.directory.tell("tokens", AskApplication())

    def _end_look(self) -> None:
        self._schedule.end(self._delay_s())

    def _delay_s(self) -> float:
        interval_s = self._parts.settings.config.upgrade_interval.total_seconds()
        if self._unasked:
            return min(interval_s, doubled(FIRST_WAIT_S, self._asked_in_vain, LONGEST_WAIT_S))
        if self._failure:
            return min(interval_s, max(1.0, self._attempts.not_before - self._now()))
        return interval_s

    # What becomes of it.

    def take(
        self,
        news: Verified | ApplicationOffered | ApplicationNotOffered | Obtained | NotObtained,
    ) -> None:
        """Take in what GitHub or the worker says."""
        if isinstance(news, Verified):
            self._begin_with(news.application)
            self._ask()
        elif isinstance(news, (ApplicationOffered, ApplicationNotOffered)):
            self._answered(news)
        else:
            self._progress = None
            if isinstance(news, Obtained):
                self._obtained(news)
            else:
                self._not_obtained(news)
            self._end_look()
        self._warn()
        self._tell_of_changes()

    def _answered(self, news: ApplicationOffered | ApplicationNotOffered) -> None:
        if not self._is_asked:
            return  # an incarnation before this one has asked
        self._is_asked = False
        if isinstance(news, ApplicationOffered):
            self._offered(news.application)
        else:
            self._unasked = news
            self._asked_in_vain += 1
            self._end_look()

    def _offered(self, offer: Application) -> None:
        self._unasked, self._asked_in_vain = None, 0
        self._checked_at = self._system.clock.now()
        if self._offer != offer:
            self._offer, self._offered_since = offer, self._notebook.hear_of(offer.sha256)
        in_use = self._current.version if self._current else ""
        self._older = follow(
            self._older, offer.version, in_use, self._now(), ordered=self._is_ordered
        )
        self._notebook.follow(self._older)
        self._is_ordered = False
        if self._current == offer or self._held:
            self._forget_failure()
            self._end_look()
        elif self._attempts.may_try(offer.sha256, self._now()):
            if offer.sha256 != self._attempts.version:
                self._failure = ""
            self._obtain(offer)
        else:
            self._end_look()

    def _forget_failure(self) -> None:
        self._attempts, self._failure = Attempts(), ""
        self._notebook.forget_failure()

    def _use(self, application: Application | None) -> None:
        self._current = application
        switched_at = self._parts.applications.switched_at
        self._current_since = switched_at(application.sha256) if application else None

    def _obtain(self, offer: Application) -> None:
        self._progress = Progress()
        store, proxies = self._parts.applications, self._parts.settings.config.proxies
        work = partial(application_work.obtain, store, offer, proxies, self._progress)
        self._parts.upgrading.submit(work, self._ref)

    def _obtained(self, news: Obtained) -> None:
        self._forget_failure()
        self._use(news.application)
        self._older = None
        if not news.was_there:
            in_use = frozenset({news.application.sha256})
            work = partial(_prune, self._parts.applications, in_use)
            self._parts.upgrading.submit(work, self._ref)

    def _not_obtained(self, news: NotObtained) -> None:
        self._failure = news.reason
        first_s, longest_s = FIRST_WAIT_S, LONGEST_WAIT_S
        if news.refused:
            # It costs a whole download to see it again. But without any, nothing is done meanwhile.
            first_s = _REFUSED_S if self._current else FIRST_WAIT_S
            longest_s = _REFUSED_LONGEST_S if self._current else _REFUSED_S
        version, now = news.application.sha256, self._now()
        self._attempts = self._attempts.fail(version, now, first_s, longest_s)
        if news.refused:
            self._notebook.fail(self._attempts, news.reason)

    def _warn(self) -> None:
        """Say once in the log why the newest is not in use; of outages others tell."""
        error = self._failure or ("" if self._is_outage else self._error)
        if error and error != self._warned:
            logger.warning("{}: {}", _WHAT, error)
        self._warned = error

    # Who is told.

    def announce(self) -> None:
        """Tell those who make runners which application there is."""
        self._told = None
        self._tell_of_changes()

    def _tell_of_changes(self) -> None:
        reason = "" if self._current else self._error or self._stage()
        change = ApplicationChanged(self._current, reason)
        if change != self._told:
            self._told = change
            for name in ("fleet", "image"):
                self._system.directory.tell(name, change)

    def standing(self) -> Standing:
        """Say how it stands."""
        installed = _name(self._current) if self._current else ""
        serves = bool(installed and self._error and not (self._is_outage and not self._failure))
        return Standing(
            what=_WHAT,
            state=self._state(),
            installed=installed,
            installed_at=self._current_since,
            latest=_name(self._offer) if self._offer else "",
            latest_since=self._offered_since,
            checked_at=self._checked_at,
            error=self._error,
            warning=f"{_WHAT} {installed} stays in use: {self._error}" if serves else "",
            progress=self._progress.in_words() if self._progress else self._stage(),
            looks=self.looks.done,
            details={"sha256": self._current.sha256 if self._current else ""},
        )

    def _state(self) -> State:
        if self._current:
            return "upgrading" if self._progress else "ready"
        if self._error:
            return "failing"
        return "upgrading" if self._progress else "waiting"

    def _stage(self) -> str:
        """Say what is being done; without numbers that change all the time."""
        if not self._is_verified:
            return "the one that is there is being verified"
        if self._progress and self._offer:
            return f"{_name(self._offer)} is being got"
        return "GitHub is being asked for it" if self.looks.under_way else ""

    @property
    def _error(self) -> str:
        return self._unasked.reason if self._unasked else self._failure or self._held

    @property
    def _held(self) -> str:
        return self._older.held(self._now()) if self._older else ""

    @property
    def _is_outage(self) -> bool:
        return self._unasked is not None and self._unasked.outage

    def _now(self) -> float:
        return self._system.clock.monotonic()


def _name(application: Application) -> str:
    return application.version or application.filename


def _verify(store: ApplicationStore) -> Verified:
    return Verified(application_work.verify_current(store))


def _prune(store: ApplicationStore, in_use: frozenset[str]) -> None:
    for sha256 in application_work.prune(store, in_use):
        logger.info("{} {} is used by nothing any more: deleted", _WHAT, sha256[:12])
