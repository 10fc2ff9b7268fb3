"""The one actor that talks to GitHub: registrations, deletions, listings, and the credential."""

from collections.abc import Iterator
from functools import partial
from typing import TypeVar

from loguru import logger

from supervisor import lifecycle
from supervisor.actors.former_places import FormerPlaces
from supervisor.actors.github_gate import CredentialLookDue, GitHubGate, RetryDue
from supervisor.actors.github_line import Due, Exchanged, Line
from supervisor.actors.job_inquiries import InquiryDue, JobInquiries
from supervisor.actors.places_listing import PlacesListing, Registrations
from supervisor.actors.registering import Order, Registering
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
from supervisor.github.report import budget_in_words, github_report, standing
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
    InquireJob,
    JitConfigMade,
    ListRegistrations,
    RegisterAhead,
    RequestJitConfig,
)
from supervisor.parts import Parts
from supervisor.runners.blueprints import architecture
from supervisor.supervision import Actor, System, Timer, handles
from supervisor.upgrades.application import Application
from supervisor.workers import WorkFailed

_SLOW_S = 60.0
_FORMER_PLACES_S = 10.0
_OUTAGES = (Cancelled, RateLimited, Rejected, Unavailable)
"""Of these the actor's own state tells."""

T = TypeVar("T")


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
        self._registering = Registering(
            system.directory, system.clock, self._registration_tried, self._delete
        )
        self._gate = GitHubGate(system.directory, system.clock, self.tell_after, self.tell_self)
        self._cache = Cache()
        self._tickets: list[int] = []
        self._listing: PlacesListing | None = None
        self._deleting: set[tuple[str, int]] = set()
        self._call_watch: Timer | None = None
        self._refresh: Timer | None = None

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

    def _begin(
        self, talk: Talk[T], priority: Priority, done: Done[T], *, runner: str = ""
    ) -> Turn[T]:
        turn = self._line.begin(talk, priority, done, runner=runner)
        self._watch_call()
        return turn

    def _ask(self, talk: Talk[T], priority: Priority, done: Done[T], *, runner: str = "") -> None:
        """Begin a conversation, unless nothing at all is to be asked now."""
        if refusal := self._gate.refusal_of_all(self._line):
            done(refusal)
        else:
            self._begin(talk, priority, done, runner=runner)

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

    # Registrations.

    @handles(RequestJitConfig)
    def _register(self, order: RequestJitConfig) -> None:
        if self._is_here(order):
            self._registering.request(order, self._line, self._gate.refusal())
            self._watch_call()
        else:
            self._registering.refuse(order.name)

    @handles(RegisterAhead)
    def _register_ahead(self, order: RegisterAhead) -> None:
        if self._is_here(order):
            self._registering.request_ahead(order, self._line, self._gate.refusal())
            self._watch_call()

    def _is_here(self, order: Order) -> bool:
        """Tell whether runners are to be registered there, by the newest configuration."""
        newest = self._parts.settings.config
        if order.place != self._line.place and order.place == places.of(newest):
            self._follow(newest)  # the order was faster than the news of the change
        return order.place == self._line.place

    @handles(ForgetAhead)
    def _forget_ahead(self, _message: ForgetAhead) -> None:
        self._registering.forget_ahead(self._line)

    def _registration_tried(self, line: Line, outcome: JitConfigMade | GitHubError) -> None:
        if line is not self._line:
            return  # it says nothing of the place that is configured by now
        if isinstance(outcome, JitConfigMade):
            self._gate.open()
        elif not isinstance(outcome, Cancelled):
            self._failed(outcome, everything=isinstance(outcome, Rejected))

    # Deletions and listings.

    @handles(DeleteRegistration)
    def _delete(self, message: DeleteRegistration) -> None:
        self._registering.forget(message)
        key = (message.place, message.runner_id)
        if key in self._deleting:
            return  # its outcome is told when it is there
        self._deleting.add(key)
        done = partial(self._deletion_ended, message)
        if message.place != self._line.place:
            self._former.at(message.place).delete(message.runner_id, message.name, done)
            self._watch_call()
            return
        talk = conversations.delete(self._line.scope, message.runner_id, message.name)
        self._ask(talk, Priority.DELETE, done, runner=message.name)

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
        self._ask(conversations.registrations(self._line.scope, self._cache), Priority.LIST, done)

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

    # The runner application.

    @handles(AskApplication)
    def _ask_for_application(self, _message: AskApplication) -> None:
        line = self._line
        done = partial(self._application_found, line)
        talk = conversations.application(line.scope, self._cache, architecture())
        # It can wait as a list can: runners that are missing can have the one that is there.
        self._ask(talk, Priority.LIST, done)

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

    # How jobs have fared.

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
        if self._gate.refusal_of_all(self._line):
            self._inquiries.pause()

    # Whether GitHub can be asked.

    @handles(AnnounceGitHub)
    def _announce(self, _message: AnnounceGitHub) -> None:
        self._gate.announce()

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
        self._cache = Cache()
        self._registering.move()
        self._gate.move()

    @handles(CredentialLookDue)
    def _look_at_credential(self, _message: CredentialLookDue) -> None:
        if self._gate.look_at_credential(self._line):
            self._registering.forget_group()

    def _try_again(self) -> None:
        if self._gate.retry_now():
            self._registering.forget_group()

    @handles(RetryDue)
    def _retry_is_due(self, _message: RetryDue) -> None:
        """Have something tried: a listing by ourselves, a registration by the fleet."""
        if self._gate.state.everything:
            talk = conversations.registrations(self._line.scope, self._cache)
            done = partial(self._probed, self._line)
            self._begin(talk, Priority.REGISTER, done)  # they are what it stands for
        else:
            self._gate.tell_fleet()

    def _probed(self, line: Line, outcome: Registrations | GitHubError) -> None:
        if line is not self._line:
            return
        if isinstance(outcome, RateLimited):
            self._failed(outcome, everything=True)
        else:
            self._learn(outcome)

    def _learn(self, outcome: Registrations | GitHubError) -> None:
        """Learn from a listing whether GitHub answers."""
        if not isinstance(outcome, GitHubError):
            if self._gate.state.is_mended_by_a_list(self._now()):
                self._gate.open()
        elif not isinstance(outcome, (RateLimited, Cancelled)):
            self._failed(outcome, everything=True)

    def _failed(self, error: GitHubError, *, everything: bool) -> None:
        if self._gate.fail(self._line, error, everything=everything):
            self._registering.forget_group()
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
        gate = self._gate.state
        hold = None if gate.reason else self._line.hold(Priority.LIST)
        limit = self._line.in_words(hold) if hold else ""
        if hold:
            self._show_again_at(hold.until)
        owner, left = self._line.scope.name, budget_in_words(report)
        state, reason, cause = standing(owner, gate, limit, left)
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
