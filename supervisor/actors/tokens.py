"""The one actor that talks to GitHub: registrations, deletions, listings, and the credential."""

from collections import deque
from collections.abc import Iterator
from functools import partial
from typing import TypeVar

from loguru import logger

from supervisor import lifecycle
from supervisor.actors.former_places import FormerPlaces
from supervisor.actors.github_line import Due, Exchanged, Line
from supervisor.actors.job_inquiries import InquiryDue, JobInquiries
from supervisor.actors.places_listing import PlacesListing, Registrations
from supervisor.causes import Cause
from supervisor.config import Config
from supervisor.github import conversations, places
from supervisor.github.budget import Priority
from supervisor.github.errors import (
    Cancelled,
    Forbidden,
    GitHubError,
    RateLimited,
    Rejected,
    RunnerBusy,
    Unavailable,
)
from supervisor.github.exchange import Cache, Talk
from supervisor.github.gate import Gate
from supervisor.github.report import budget_in_words, github_report
from supervisor.github.turns import Done, Turn
from supervisor.messages.configuration import ConfigChanged
from supervisor.messages.runner import Happened
from supervisor.messages.tokens import (
    AnnounceGitHub,
    ApplicationNotOffered,
    ApplicationOffered,
    AskApplication,
    DeleteRegistration,
    ForgetAhead,
    GitHubChanged,
    InquireJob,
    JitConfigFailed,
    JitConfigMade,
    ListRegistrations,
    RegisterAhead,
    RequestJitConfig,
)
from supervisor.messages.upgrades import GitHubReachable
from supervisor.parts import Parts
from supervisor.runners.blueprints import architecture
from supervisor.supervision import Actor, System, Timer, handles
from supervisor.upgrades.application import Application
from supervisor.workers import WorkFailed

_GROUP_FRESH_S = 600.0
_LOOK_AT_CREDENTIAL_S = 5.0
_SLOW_S = 60.0
_FORMER_PLACES_S = 10.0
_FORGOTTEN = 1000
_OUTAGES = (Cancelled, RateLimited, Rejected, Unavailable)
"""Of these the actor's own state tells."""

T = TypeVar("T")
Order = RequestJitConfig | RegisterAhead


class _Retry:
    """After a failure, it is time to try again."""


class _LookAtCredential:
    """The credential is no good: has it been changed?"""


class _Refresh:
    """A limit of GitHub's is over."""


class _LookAtCall:
    """Has the call under way taken too long?"""


class _ListingLate:
    """The configured place's list must not wait for those of former ones any more."""

    def __init__(self, listing: PlacesListing) -> None:
        self.listing = listing


class TokensActor(Actor):
    """Registers runners, deletes registrations, lists them; knows whether that is possible now.

    Its calls are made by a worker thread, so it answers meanwhile. While GitHub can't register
    runners the fleet is told so, and asks for none.
    """

    def __init__(self, system: System, parts: Parts) -> None:
        super().__init__(system)
        self._parts = parts
        self._line = self._make_line(parts.settings.config)
        self._former = FormerPlaces(parts, self._make_line, system.clock)
        self._inquiries = JobInquiries(parts.feed, system.clock, self._begin, self.tell_after)
        self._cache = Cache()
        self._ahead: dict[str, JitConfigMade] = {}
        self._group: tuple[str, int, float] = ("", 0, 0.0)
        self._registering: dict[str, bool] = {}
        self._turns: dict[str, Turn[JitConfigMade]] = {}
        self._unwanted: set[str] = set()
        self._tickets: list[int] = []
        self._listing: PlacesListing | None = None
        self._deleting: set[tuple[str, int]] = set()
        self._forgotten: deque[str] = deque(maxlen=_FORGOTTEN)
        self._gate = Gate()
        self._is_transient = False
        self._told: GitHubChanged | None = None
        self._retry: Timer | None = None
        self._call_watch: Timer | None = None
        self._refresh: Timer | None = None
        self._watching = False

    def on_start(self) -> None:
        """Say that nothing has been asked yet."""
        self._former.arrive(self._line.place)
        self.publish("waiting", "GitHub has not been asked anything yet")

    def on_stop(self) -> None:
        """Close the connections."""
        self._close()

    def on_failure(self, *_error: object) -> None:
        """Close the connections; the next incarnation makes its own."""
        self._close()

    def _close(self) -> None:
        for line in self._lines():
            line.close()

    # The lines: one to the configured place, and one to each former place.

    def _make_line(self, config: Config) -> Line:
        told = self._parts.counters.count_call
        return Line(config, self.actor_ref, self.system.clock, self.tell_after, told)

    def _lines(self) -> Iterator[Line]:
        yield self._line
        yield from self._former.lines()

    @handles(Exchanged)
    def _exchanged(self, message: Exchanged) -> None:
        message.line.exchanged(message)
        self._watch_call()
        self._show()

    @handles(Due)
    def _due(self, message: Due) -> None:
        message.line.pump()
        self._watch_call()

    @handles(WorkFailed)
    def _work_failed(self, message: WorkFailed) -> None:
        raise message.error

    # Registrations.

    @handles(RequestJitConfig)
    def _register(self, order: RequestJitConfig) -> None:
        # A name that was let go is not used again: its first registration may not be gone yet.
        if not self._is_here(order) or order.name in self._forgotten:
            changed = "the configuration has changed meanwhile"
            self.system.directory.tell(order.name, JitConfigFailed(changed))
        elif made := self._ahead.pop(order.name, None):
            self._hand_out(order.name, made)
        elif order.name in self._registering:
            self._registering[order.name] = True
            if order.name in self._turns:
                self._line.promote(self._turns[order.name], Priority.REGISTER)
        else:
            self._registering[order.name] = True
            self._begin_registration(order, Priority.REGISTER)

    @handles(RegisterAhead)
    def _register_ahead(self, order: RegisterAhead) -> None:
        is_new = order.name not in self._registering and order.name not in self._ahead
        if is_new and self._is_here(order):
            self._registering[order.name] = False
            self._begin_registration(order, Priority.REGISTER_AHEAD)

    def _is_here(self, order: Order) -> bool:
        """Tell whether runners are to be registered there, by the newest configuration."""
        newest = self._parts.settings.config
        if order.place != self._line.place and order.place == places.of(newest):
            self._follow(newest)  # the order was faster than the news of the change
        return order.place == self._line.place

    @handles(ForgetAhead)
    def _forget_ahead(self, _message: ForgetAhead) -> None:
        changed = Cancelled("the configuration has changed meanwhile")
        self._line.fail_all({Priority.REGISTER_AHEAD}, changed)
        self._unwanted |= {name for name, asked in self._registering.items() if not asked}
        self._forgotten.extend((*self._unwanted, *self._ahead))
        for name, made in tuple(self._ahead.items()):
            self._delete(DeleteRegistration(made.runner_id, name, made.place))

    def _begin_registration(self, order: Order, priority: Priority) -> None:
        if not self._gate.is_open(self._now()):
            self._registered(order.name, Cancelled(self._gate.answer, self._gate.cause))
            return
        line = self._line
        done = partial(self._registration_ended, line, order.name)
        turn = self._begin(self._registration(line, order), priority, done, runner=order.name)
        if order.name in self._registering:
            self._turns[order.name] = turn

    def _registration(self, line: Line, order: Order) -> Talk[JitConfigMade]:
        group_id = yield from self._find_group(line, order.group)
        made = yield from conversations.register(line.scope, order.name, order.labels, group_id)
        return JitConfigMade(made.runner_id, made.encoded, line.place)

    def _find_group(self, line: Line, name: str) -> Talk[int]:
        known, number, until = self._group
        if name != known or self._now() >= until:
            number = yield from conversations.find_group(line.scope, self._cache, name)
            self._group = (name, number, self._now() + _GROUP_FRESH_S)
        return number

    def _registration_ended(
        self, line: Line, name: str, outcome: JitConfigMade | GitHubError
    ) -> None:
        if line is not self._line:
            pass  # it says nothing of the place that is configured by now
        elif isinstance(outcome, JitConfigMade):
            self._succeeded()
        elif not isinstance(outcome, Cancelled):
            self._failed(outcome, everything=isinstance(outcome, Rejected))
        self._registered(name, outcome)

    def _registered(self, name: str, outcome: JitConfigMade | GitHubError) -> None:
        asked = self._registering.pop(name, False)
        self._turns.pop(name, None)
        if isinstance(outcome, GitHubError):
            if asked:
                self.system.directory.tell(name, JitConfigFailed(str(outcome), outcome.cause))
        elif asked:
            self._hand_out(name, outcome)
        elif name in self._unwanted:
            self._delete(DeleteRegistration(outcome.runner_id, name, outcome.place))
        else:
            self._ahead[name] = outcome
        self._unwanted.discard(name)

    def _hand_out(self, name: str, made: JitConfigMade) -> None:
        if not self.system.directory.tell(name, made):
            said = logger.bind(runner=name)
            said.info("{} did not wait for its registration: deleting it", name)
            self._delete(DeleteRegistration(made.runner_id, name, made.place))

    # Deletions and listings.

    @handles(DeleteRegistration)
    def _delete(self, message: DeleteRegistration) -> None:
        made = self._ahead.get(message.name)
        key = (message.place, message.runner_id)
        if made and (made.place, made.runner_id) == key:
            del self._ahead[message.name]
        if key in self._deleting:
            return  # its outcome is told when it is there
        self._deleting.add(key)
        done = partial(self._deletion_ended, message)
        if message.place != self._line.place:
            self._former.at(message.place).delete(message.runner_id, message.name, done)
            self._watch_call()
            return
        if self._is_shut():
            done(Cancelled(self._gate.answer, self._gate.cause))
            return
        talk = conversations.delete(self._line.scope, message.runner_id, message.name)
        self._begin(talk, Priority.DELETE, done, runner=message.name)

    def _deletion_ended(self, message: DeleteRegistration, outcome: GitHubError | None) -> None:
        self._deleting.discard((message.place, message.runner_id))
        event: lifecycle.Event = lifecycle.Unregistered()
        if isinstance(outcome, GitHubError):
            # The reconcile finds what is left behind, and asks again.
            busy = isinstance(outcome, RunnerBusy)
            for_good = self._former.is_lost(message.place)
            event = lifecycle.UnregistrationRefused(busy, str(outcome), for_good)
            is_here = message.place == self._line.place
            if is_here and not isinstance(outcome, (RunnerBusy, RateLimited, Cancelled)):
                self._failed(outcome, everything=not isinstance(outcome, Forbidden))
        self.system.directory.tell(message.name, Happened(event))

    @handles(ListRegistrations)
    def _list(self, message: ListRegistrations) -> None:
        self._tickets.append(message.ticket)
        if len(self._tickets) > 1:
            return  # one is under way, and serves for both
        here = self._line.place
        former = self._former.in_use(here)
        self._listing = PlacesListing({here, *(one.place for one in former)})
        if former:
            self.tell_after(_FORMER_PLACES_S, _ListingLate(self._listing))
        for one in former:
            self._former.list(one, partial(self._place_listed, self._listing, one.place))
        self._watch_call()
        done = partial(self._here_listed, self._listing, self._line)
        if self._is_shut():
            done(Cancelled(self._gate.answer, self._gate.cause))
        else:
            self._begin(
                conversations.registrations(self._line.scope, self._cache), Priority.LIST, done
            )

    def _here_listed(
        self, listing: PlacesListing, line: Line, outcome: Registrations | GitHubError
    ) -> None:
        if line is self._line:
            self._learn(outcome)
        self._place_listed(listing, line.place, outcome)

    def _place_listed(
        self, listing: PlacesListing, place: str, outcome: Registrations | GitHubError
    ) -> None:
        listing.take(place, outcome)
        self._answer(listing)

    @handles(_ListingLate)
    def _listing_late(self, message: _ListingLate) -> None:
        message.listing.is_late = True
        self._answer(message.listing)

    def _answer(self, listing: PlacesListing) -> None:
        here = self._line.place
        if listing is not self._listing or not listing.is_complete(here):
            return
        self._listing = None
        ticket = self._tickets[-1]  # of those before it, nobody waits any more
        self._tickets.clear()
        self.system.directory.tell("fleet", listing.answer(ticket, here))

    def _learn(self, outcome: Registrations | GitHubError) -> None:
        """Learn from a listing whether GitHub answers."""
        if not isinstance(outcome, GitHubError):
            has_passed = self._is_transient and self._gate.is_open(self._now())
            if self._gate.everything or has_passed:
                self._succeeded()
        elif not isinstance(outcome, (RateLimited, Cancelled)):
            self._failed(outcome, everything=True)

    # The runner application.

    @handles(AskApplication)
    def _ask_for_application(self, _message: AskApplication) -> None:
        line = self._line
        done = partial(self._application_found, line)
        if self._is_shut():
            done(Cancelled(self._gate.answer, self._gate.cause))
        else:
            talk = conversations.application(line.scope, self._cache, architecture())
            # It can wait as a list can: runners that are missing can have the one that is there.
            self._begin(talk, Priority.LIST, done)

    def _application_found(self, line: Line, outcome: Application | GitHubError) -> None:
        """Tell of it, and learn nothing from it: whether runners can be registered others show."""
        answer: ApplicationOffered | ApplicationNotOffered
        if line is not self._line:
            moved = "the place of registration has changed meanwhile"
            answer = ApplicationNotOffered(moved, outage=True)
        elif isinstance(outcome, GitHubError):
            answer = ApplicationNotOffered(str(outcome), isinstance(outcome, _OUTAGES))
        else:
            answer = ApplicationOffered(outcome)
        self.system.directory.tell("upgrades", answer)

    # How long jobs have waited.

    @handles(InquireJob)
    def _inquire(self, message: InquireJob) -> None:
        self._inquiries.add(message)
        self._pause_inquiring()
        self._inquiries.go_on(self._line)

    @handles(InquiryDue)
    def _inquiry_due(self, _message: InquiryDue) -> None:
        self._pause_inquiring()
        self._inquiries.wake(self._line)

    def _pause_inquiring(self) -> None:
        if self._is_shut():
            self._inquiries.pause()

    # Whether GitHub can be asked.

    @handles(AnnounceGitHub)
    def _announce(self, _message: AnnounceGitHub) -> None:
        self._told = None
        self._tell_fleet()

    @handles(ConfigChanged)
    def _config_changed(self, message: ConfigChanged) -> None:
        self._follow(message.config)

    def _follow(self, config: Config) -> None:
        if places.of(config) != self._line.place:
            self._move(config)
        self._line.reconfigure(config)
        self._former.reconfigured()
        self._try_again()

    def _move(self, config: Config) -> None:
        """Register at another place from now on; the one until now is to be left in order."""
        place = places.of(config)
        logger.info("runners are registered at {} from now on", place)
        self._forget_ahead(ForgetAhead())
        moved = Cancelled("the place of registration has changed meanwhile")
        self._line.fail_all({Priority.REGISTER}, moved)
        line = self._former.come_back(place) or self._make_line(config)
        self._former.leave(self._line)
        self._former.arrive(place)
        self._line = line
        self._cache, self._group = Cache(), ("", 0, 0.0)
        self._gate = Gate()
        if self._retry:
            self._retry.cancel()
        self._tell_fleet()

    @handles(_LookAtCredential)
    def _look_at_credential(self, _message: _LookAtCredential) -> None:
        self._watching = False
        if self._line.credential_may_have_changed():
            logger.info("the credential has changed: GitHub is asked again")
            self._try_again()
        self._watch_credential()

    def _try_again(self) -> None:
        if self._gate.reason:
            self._gate = self._gate.retry_now()
            if self._retry:
                self._retry.cancel()
            self._group = ("", 0, 0.0)
            self.tell_self(_Retry())

    @handles(_Retry)
    def _retry_is_due(self, _message: _Retry) -> None:
        """Have something tried: a listing by ourselves, a registration by the fleet."""
        if self._gate.everything:
            talk = conversations.registrations(self._line.scope, self._cache)
            done = partial(self._probed, self._line)
            self._begin(talk, Priority.REGISTER, done)  # they are what it stands for
        else:
            self._tell_fleet()

    def _probed(self, line: Line, outcome: Registrations | GitHubError) -> None:
        if line is not self._line:
            return
        if isinstance(outcome, RateLimited):
            self._failed(outcome, everything=True)
        else:
            self._learn(outcome)

    def _succeeded(self) -> None:
        self._gate = Gate()
        self._tell_fleet()

    def _failed(self, error: GitHubError, *, everything: bool) -> None:
        now = self._now()
        if not self._gate.is_open(now) and (self._gate.everything or not everything):
            return  # others have met the same trouble: it counts once
        logger.warning("{}", error)
        self._is_transient = isinstance(error, (RateLimited, Unavailable))
        self._group = ("", 0, 0.0)
        hold = self._line.hold(Priority.REGISTER) if isinstance(error, RateLimited) else None
        until = hold.until if hold else None
        self._gate = self._gate.fail(error, now, everything=everything, until=until)
        if self._retry:
            self._retry.cancel()
        self._retry = self.tell_after(self._gate.until - now, _Retry())
        self._tell_fleet()  # first, or it would ask for others in the place of those that fail
        closed = Cancelled(error.answer, error.cause)
        self._line.fail_all({Priority.REGISTER, Priority.REGISTER_AHEAD}, closed)
        self._watch_credential()
        self._show()

    def _watch_credential(self) -> None:
        if self._gate.reason and not self._watching:
            self._watching = True
            self.tell_after(_LOOK_AT_CREDENTIAL_S, _LookAtCredential())

    def _is_shut(self) -> bool:
        """Tell whether nothing at all is to be asked, until the next try is due."""
        if self._gate.everything and self._line.credential_may_have_changed():
            self._gate = self._gate.retry_now()
        return self._gate.everything and not self._gate.is_open(self._now())

    def _tell_fleet(self) -> None:
        gate = self._gate
        is_open = gate.is_open(self._now()) and not gate.everything
        change = GitHubChanged(is_open, gate.proven, gate.reason, gate.cause)
        if change == self._told or not self.system.directory.tell("fleet", change):
            return
        if change.open and self._told is not None and not self._told.open:
            # It may have been asked for in vain meanwhile.
            self.system.directory.tell("upgrades", GitHubReachable())
        self._told = change

    def _begin(
        self, talk: Talk[T], priority: Priority, done: Done[T], *, runner: str = ""
    ) -> Turn[T]:
        turn = self._line.begin(talk, priority, done, runner=runner)
        self._watch_call()
        return turn

    def _watch_call(self) -> None:
        if self._call_watch is None and any(
            line.asking_since is not None for line in self._lines()
        ):
            self._call_watch = self.tell_after(_SLOW_S, _LookAtCall())

    @handles(_LookAtCall)
    def _look_at_call(self, _message: _LookAtCall) -> None:
        """Give up waiting for a call that goes on and on, such as one answered drop by drop."""
        self._call_watch = None
        for line in tuple(self._lines()):
            since = line.asking_since
            if since is not None and (took := self._now() - since) >= _SLOW_S:
                line.give_up(f"it has been answering for {took:.0f} s")
        self._watch_call()
        self._show()

    # What people see.

    def _show(self) -> None:
        config = self._parts.settings.config
        report = github_report(
            self._line.budget,
            self._line.session,
            runners=config.virtual_machines,
            reconcile_interval_s=config.reconcile_interval.total_seconds(),
            moment=self._line.moment,
        )
        left = budget_in_words(report)
        state, reason = "ready", f"GitHub answers for {self._line.scope.name}"
        cause = Cause.UNKNOWN
        if self._gate.reason:
            cause, reason = self._gate.cause, self._gate.reason
            state = "limited" if cause is Cause.RATE_LIMITED else "failing"
        elif hold := self._line.hold(Priority.LIST):
            cause, state, reason = Cause.RATE_LIMITED, "limited", self._line.in_words(hold)
            self._show_again_at(hold.until)
        elif left:
            reason += f"; {left}"
        calls, former = self._line.calls.report(), self._former.reasons()
        self.publish(state, reason, cause=str(cause), **report, calls=calls, former_places=former)

    def _show_again_at(self, at: float) -> None:
        if self._refresh is None:
            self._refresh = self.tell_after(at - self._now(), _Refresh())

    @handles(_Refresh)
    def _refresh_is_due(self, _message: _Refresh) -> None:
        self._refresh = None
        self._show()

    def _now(self) -> float:
        return self.system.clock.monotonic()
