"""How runners are registered, when they ask for it or ahead: a part of the tokens actor."""

from collections.abc import Callable
from functools import partial

from loguru import logger

from supervisor.actors.bookings import Bookings, Taker
from supervisor.actors.github_line import Line
from supervisor.github import conversations
from supervisor.github.budget import Priority
from supervisor.github.errors import Cancelled, GitHubError
from supervisor.github.exchange import Talk
from supervisor.github.group_number import GroupNumber
from supervisor.github.turns import Turn
from supervisor.messages.tokens import (
    DeleteRegistration,
    JitConfigFailed,
    JitConfigMade,
    RegisterAhead,
    RequestJitConfig,
)
from supervisor.supervision import Clock, Directory

Order = RequestJitConfig | RegisterAhead

_CHANGED = "the configuration has changed meanwhile"


class Registering:
    """Registers runners at the configured place, and tells each what came of it.

    Args:
        directory: knows the runners.
        clock: tells the time.
        tried: is told what came of each registration that has begun, and on which line.
        delete: deletes one that nobody wants.
    """

    def __init__(
        self,
        directory: Directory,
        clock: Clock,
        tried: Callable[[Line, JitConfigMade | GitHubError], None],
        delete: Callable[[DeleteRegistration], None],
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._tried = tried
        self._delete = delete
        self._bookings = Bookings()
        self._turns: dict[str, Turn[JitConfigMade]] = {}
        self._group = GroupNumber(clock.monotonic)

    def request(self, order: RequestJitConfig, line: Line, refusal: Cancelled | None) -> None:
        """Register a runner that asks for it, or give it what was made ahead.

        Args:
            order: the runner's.
            line: to the configured place.
            refusal: why no registration is tried now; None if one is.
        """
        name = order.name
        if self._bookings.is_forgotten(name):
            self.refuse(name)  # not used again: its first registration may not be gone yet
        elif made := self._bookings.take(name):
            self._hand_out(name, made)
        elif self._bookings.ask(name):
            self._begin(order, Priority.REGISTER, line, refusal)
        elif name in self._turns:
            line.promote(self._turns[name], Priority.REGISTER)

    def request_ahead(self, order: RegisterAhead, line: Line, refusal: Cancelled | None) -> None:
        """Register a runner that will ask for it soon; the arguments are those of `request`."""
        if self._bookings.ask_ahead(order.name):
            self._begin(order, Priority.REGISTER_AHEAD, line, refusal)

    def refuse(self, name: str) -> None:
        """Tell a runner that its order has come too late."""
        self._directory.tell(name, JitConfigFailed(_CHANGED))

    def forget_ahead(self, line: Line) -> None:
        """Let go of all that was made ahead and not asked for."""
        line.fail_all({Priority.REGISTER_AHEAD}, Cancelled(_CHANGED))
        for name, made in self._bookings.forget_ahead():
            self._delete(DeleteRegistration(made.runner_id, name, made.place))

    def forget(self, order: DeleteRegistration) -> None:
        """Give no runner what is being deleted."""
        self._bookings.deleted(order.name, order.place, order.runner_id)

    def forget_group(self) -> None:
        """Look the runner group up before the next registration: it may be another by now."""
        self._group.forget()

    def move(self) -> None:
        """Register at another place from now on, where a group of that name has another number."""
        self._group = GroupNumber(self._clock.monotonic)

    def _begin(
        self, order: Order, priority: Priority, line: Line, refusal: Cancelled | None
    ) -> None:
        name = order.name
        if refusal:
            self._ended(name, refusal)
            return
        done = partial(self._tried_one, line, name)
        turn = line.begin(self._talk(line, order), priority, done, runner=name)
        if self._bookings.is_under_way(name):
            self._turns[name] = turn

    def _talk(self, line: Line, order: Order) -> Talk[JitConfigMade]:
        group_id = yield from self._group.find(line.scope, order.group)
        made = yield from conversations.register(line.scope, order.name, order.labels, group_id)
        return JitConfigMade(made.runner_id, made.encoded, line.place)

    def _tried_one(self, line: Line, name: str, outcome: JitConfigMade | GitHubError) -> None:
        self._tried(line, outcome)
        self._ended(name, outcome)

    def _ended(self, name: str, outcome: JitConfigMade | GitHubError) -> None:
        self._turns.pop(name, None)
        if isinstance(outcome, GitHubError):
            if self._bookings.failed(name):
                self._directory.tell(name, JitConfigFailed(str(outcome), outcome.cause))
            return
        taker = self._bookings.made(name, outcome)
        if taker is Taker.RUNNER:
            self._hand_out(name, outcome)
        elif taker is Taker.NOBODY:
            self._delete(DeleteRegistration(outcome.runner_id, name, outcome.place))

    def _hand_out(self, name: str, made: JitConfigMade) -> None:
        if not self._directory.tell(name, made):
            said = logger.bind(runner=name)
            said.info("{} did not wait for its registration: deleting it", name)
            self._delete(DeleteRegistration(made.runner_id, name, made.place))
