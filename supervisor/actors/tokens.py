"""The one actor that talks to GitHub: registrations, deletions, listings, and the credential."""

from functools import partial
from typing import TypeVar

from loguru import logger

from supervisor import lifecycle
from supervisor.actors.github_line import Done, Due, Exchanged, Line, Turn
from supervisor.blueprints import architecture
from supervisor.github import conversations
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
from supervisor.messages import (
    AnnounceGitHub,
    Application,
    ConfigChanged,
    DeleteRegistration,
    ForgetAhead,
    GitHubChanged,
    Happened,
    JitConfigFailed,
    JitConfigMade,
    ListRegistrations,
    RegisterAhead,
    RegistrationsListed,
    RequestJitConfig,
)
from supervisor.parts import Parts
from supervisor.planning import Registration
from supervisor.supervision import Actor, System, Timer, handles
from supervisor.workers import WorkFailed

_APPLICATION_FRESH_S = 3600.0
_GROUP_FRESH_S = 600.0
_LOOK_AT_CREDENTIAL_S = 5.0
_SLOW_S = 60.0

T = TypeVar("T")
Order = RequestJitConfig | RegisterAhead
Registrations = tuple[Registration, ...]


class _Retry:
    """After a failure, it is time to try again."""


class _LookAtCredential:
    """The credential is no good: has it been changed?"""


class _Refresh:
    """A limit of GitHub's is over."""


class _LookAtCall:
    """Has the call under way taken too long?"""


class TokensActor(Actor):
    """Registers runners, deletes registrations, lists them; knows whether that is possible now.

    Its calls are made by a worker thread, so it answers meanwhile. While GitHub can't register
    runners the fleet is told so, and asks for none.
    """

    def __init__(self, system: System, parts: Parts) -> None:
        super().__init__(system)
        self._parts = parts
        config = parts.settings.config
        self._line = Line(config, self.actor_ref, system.clock, self.tell_after)
        self._cache = Cache()
        self._application: Application | None = None
        self._application_until = 0.0
        self._ahead: dict[str, JitConfigMade] = {}
        self._group: tuple[str, int, float] = ("", 0, 0.0)
        self._registering: dict[str, bool] = {}
        self._turns: dict[str, Turn[JitConfigMade]] = {}
        self._unwanted: set[str] = set()
        self._tickets: list[int] = []
        self._deleting: set[int] = set()
        self._gate = Gate()
        self._limited = self._is_transient = False
        self._told: GitHubChanged | None = None
        self._retry: Timer | None = None
        self._call_watch: Timer | None = None
        self._refresh: Timer | None = None
        self._watching = False

    def on_start(self) -> None:
        """Say that nothing has been asked yet."""
        self.publish("waiting", "GitHub has not been asked anything yet")

    def on_stop(self) -> None:
        """Close the connections."""
        self._line.close()

    def on_failure(self, *_error: object) -> None:
        """Close the connections; the next incarnation makes its own."""
        self._line.close()

    # The line.

    @handles(Exchanged)
    def _exchanged(self, message: Exchanged) -> None:
        self._line.exchanged(message)
        self._watch_call()
        self._show()

    @handles(Due)
    def _due(self, _message: Due) -> None:
        self._line.pump()
        self._watch_call()

    @handles(WorkFailed)
    def _work_failed(self, message: WorkFailed) -> None:
        raise message.error

    # Registrations.

    @handles(RequestJitConfig)
    def _register(self, order: RequestJitConfig) -> None:
        made = self._ahead.pop(order.name, None)
        if made:
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
        if order.name not in self._registering and order.name not in self._ahead:
            self._registering[order.name] = False
            self._begin_registration(order, Priority.REGISTER_AHEAD)

    @handles(ForgetAhead)
    def _forget_ahead(self, _message: ForgetAhead) -> None:
        changed = Cancelled("the configuration has changed meanwhile")
        self._line.fail_all({Priority.REGISTER_AHEAD}, changed)
        self._unwanted |= {name for name, asked in self._registering.items() if not asked}
        for name, made in tuple(self._ahead.items()):
            self._delete(DeleteRegistration(made.runner_id, name))

    def _begin_registration(self, order: Order, priority: Priority) -> None:
        if not self._gate.is_open(self._now()):
            self._registered(order.name, Cancelled(self._gate.reason))
            return
        done = partial(self._registration_ended, order.name)
        turn = self._begin(self._registration(order), priority, done)
        if order.name in self._registering:
            self._turns[order.name] = turn

    def _registration(self, order: Order) -> Talk[JitConfigMade]:
        # The application first: a registration without one to run would be an orphan.
        if self._application is None or self._now() >= self._application_until:
            self._application = yield from conversations.application(
                self._line.scope, self._cache, architecture()
            )
            self._application_until = self._now() + _APPLICATION_FRESH_S
        application = self._application
        group_id = yield from self._find_group(order.group)
        made = yield from conversations.register(
            self._line.scope, order.name, order.labels, group_id
        )
        return JitConfigMade(made.runner_id, made.encoded, application)

    def _find_group(self, name: str) -> Talk[int]:
        known, number, until = self._group
        if name != known or self._now() >= until:
            number = yield from conversations.find_group(self._line.scope, self._cache, name)
            self._group = (name, number, self._now() + _GROUP_FRESH_S)
        return number

    def _registration_ended(self, name: str, outcome: JitConfigMade | GitHubError) -> None:
        if isinstance(outcome, JitConfigMade):
            self._succeeded()
        elif not isinstance(outcome, Cancelled):
            self._failed(outcome, everything=isinstance(outcome, Rejected))
        self._registered(name, outcome)

    def _registered(self, name: str, outcome: JitConfigMade | GitHubError) -> None:
        asked = self._registering.pop(name, False)
        self._turns.pop(name, None)
        if isinstance(outcome, GitHubError):
            if asked:
                self.system.directory.tell(name, JitConfigFailed(str(outcome)))
        elif asked:
            self._hand_out(name, outcome)
        elif name in self._unwanted:
            self._delete(DeleteRegistration(outcome.runner_id, name))
        else:
            self._ahead[name] = outcome
        self._unwanted.discard(name)

    def _hand_out(self, name: str, made: JitConfigMade) -> None:
        if not self.system.directory.tell(name, made):
            logger.info("{} did not wait for its registration: deleting it", name)
            self._delete(DeleteRegistration(made.runner_id, name))

    # Deletions and listings.

    @handles(DeleteRegistration)
    def _delete(self, message: DeleteRegistration) -> None:
        made = self._ahead.get(message.name)
        if made and made.runner_id == message.runner_id:
            del self._ahead[message.name]
        if message.runner_id in self._deleting:
            return  # its outcome is told when it is there
        self._deleting.add(message.runner_id)
        done = partial(self._deletion_ended, message)
        if self._is_shut():
            done(Cancelled(self._gate.reason))
            return
        talk = conversations.delete(self._line.scope, message.runner_id, message.name)
        self._begin(talk, Priority.DELETE, done)

    def _deletion_ended(self, message: DeleteRegistration, outcome: GitHubError | None) -> None:
        self._deleting.discard(message.runner_id)
        event: lifecycle.Event = lifecycle.Unregistered()
        if isinstance(outcome, GitHubError):
            # The reconcile finds what is left behind, and asks again.
            busy = isinstance(outcome, RunnerBusy)
            event = lifecycle.UnregistrationRefused(busy=busy, reason=str(outcome))
            if not isinstance(outcome, (RunnerBusy, RateLimited, Cancelled)):
                self._failed(outcome, everything=not isinstance(outcome, Forbidden))
        self.system.directory.tell(message.name, Happened(event))

    @handles(ListRegistrations)
    def _list(self, message: ListRegistrations) -> None:
        self._tickets.append(message.ticket)
        if len(self._tickets) > 1:
            return  # one is under way, and serves for both
        if self._is_shut():
            self._listing_ended(Cancelled(self._gate.reason))
            return
        talk = conversations.registrations(self._line.scope, self._cache)
        self._begin(talk, Priority.LIST, self._listing_ended)

    def _listing_ended(self, outcome: Registrations | GitHubError) -> None:
        self._learn(outcome)
        ticket = self._tickets[-1]  # of those before it, nobody waits any more
        self._tickets.clear()
        if isinstance(outcome, GitHubError):
            answer = RegistrationsListed(ticket, error=str(outcome))
        else:
            answer = RegistrationsListed(ticket, outcome)
        self.system.directory.tell("fleet", answer)

    def _learn(self, outcome: Registrations | GitHubError) -> None:
        """Learn from a listing whether GitHub answers."""
        if not isinstance(outcome, GitHubError):
            has_passed = self._is_transient and self._gate.is_open(self._now())
            if self._gate.everything or has_passed:
                self._succeeded()
        elif not isinstance(outcome, (RateLimited, Cancelled)):
            self._failed(outcome, everything=True)

    # Whether GitHub can be asked.

    @handles(AnnounceGitHub)
    def _announce(self, _message: AnnounceGitHub) -> None:
        self._told = None
        self._tell_fleet()

    @handles(ConfigChanged)
    def _config_changed(self, message: ConfigChanged) -> None:
        self._line.reconfigure(message.config)
        self._application = None
        self._try_again()

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
            self._begin(talk, Priority.REGISTER, self._probed)  # they are what it stands for
        else:
            self._tell_fleet()

    def _probed(self, outcome: Registrations | GitHubError) -> None:
        if isinstance(outcome, RateLimited):
            self._failed(outcome, everything=True)
        else:
            self._learn(outcome)

    def _succeeded(self) -> None:
        self._gate = Gate()
        self._limited = False
        self._tell_fleet()

    def _failed(self, error: GitHubError, *, everything: bool) -> None:
        now = self._now()
        if not self._gate.is_open(now) and (self._gate.everything or not everything):
            return  # others have met the same trouble: it counts once
        logger.warning("{}", error)
        self._limited = isinstance(error, RateLimited)
        self._is_transient = isinstance(error, (RateLimited, Unavailable))
        self._group = ("", 0, 0.0)
        hold = self._line.hold(Priority.REGISTER) if self._limited else None
        until = hold.until if hold else None
        self._gate = self._gate.fail(str(error), now, everything=everything, until=until)
        if self._retry:
            self._retry.cancel()
        self._retry = self.tell_after(self._gate.until - now, _Retry())
        self._tell_fleet()  # first, or it would ask for others in the place of those that fail
        closed = Cancelled(str(error))
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
        change = GitHubChanged(is_open, gate.proven, gate.reason)
        if change != self._told and self.system.directory.tell("fleet", change):
            self._told = change

    def _begin(self, talk: Talk[T], priority: Priority, done: Done[T]) -> Turn[T]:
        turn = self._line.begin(talk, priority, done)
        self._watch_call()
        return turn

    def _watch_call(self) -> None:
        if self._line.asking and self._call_watch is None:
            self._call_watch = self.tell_after(_SLOW_S, _LookAtCall())

    @handles(_LookAtCall)
    def _look_at_call(self, _message: _LookAtCall) -> None:
        """Give up waiting for a call that goes on and on, such as one answered drop by drop."""
        self._call_watch = None
        took = self._now() - self._line.asking_since
        if self._line.asking and took >= _SLOW_S:
            self._line.give_up(f"it has been answering for {took:.0f} s")
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
        if self._gate.reason:
            state, reason = "limited" if self._limited else "failing", self._gate.reason
        elif hold := self._line.hold(Priority.LIST):
            state, reason = "limited", self._line.in_words(hold)
            self._show_again_at(hold.until)
        elif left:
            reason += f"; {left}"
        self.publish(state, reason, **report, calls=self._line.calls.report())

    def _show_again_at(self, at: float) -> None:
        if self._refresh is None:
            self._refresh = self.tell_after(at - self._now(), _Refresh())

    @handles(_Refresh)
    def _refresh_is_due(self, _message: _Refresh) -> None:
        self._refresh = None
        self._show()

    def _now(self) -> float:
        return self.system.clock.monotonic()
