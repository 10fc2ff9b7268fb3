"""A supervisor's decisions: a state machine without threads, clocks or actors.

Events go in by the public methods, what is to be done comes out as effects in the order in which
it is to be done. The machine is level-driven: each child has what is wanted of it, and after every
event the difference between that and its state gives the next effects. So a death in the middle
of a group's restart, whosever it is, needs no rule of its own.

A death notice names the incarnation it is about; one about any other than the present one changes
nothing.
"""

from __future__ import annotations

import itertools
from enum import Enum
from typing import TYPE_CHECKING

from supervisor.supervision.children import Child, ChildState, StartCause
from supervisor.supervision.effects import (
    Answer,
    CancelWait,
    Discard,
    Effect,
    Finished,
    Halt,
    Launch,
    Ready,
    RestartDecided,
    Wait,
)
from supervisor.supervision.errors import (
    ChildAlreadyPresent,
    ChildAlreadyStarted,
    ChildError,
    ChildNotFound,
    ChildRestarting,
    ChildRunning,
    ChildStartFailed,
    IntensityExceeded,
    SupervisionError,
    SupervisorStopping,
)
from supervisor.supervision.intensity import RestartWindow
from supervisor.supervision.reasons import SHUTDOWN, Reason, ReasonKind
from supervisor.supervision.specs import AutoShutdown, Restart, Strategy

if TYPE_CHECKING:
    from collections.abc import Callable

    from supervisor.supervision.specs import ChildSpec, SupervisorSpec


class Phase(str, Enum):
    """Where the supervisor is in its own life."""

    NEW = "new"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    FINISHED = "finished"


class Core:
    """Decide for one supervisor. Not for use by more than one thread.

    Attributes:
        children: all that have a specification, in start order.
        phase: read it, don't set it.
    """

    def __init__(self, spec: SupervisorSpec, random: Callable[[], float]) -> None:
        self.children: dict[str, Child] = {}
        self.phase = Phase.NEW
        self._spec = spec
        self._random = random
        self._window = RestartWindow(spec.intensity, spec.period)
        self._effects: list[Effect] = []
        self._numbers = itertools.count(1)
        self._alive = 0
        self._waiting: dict[int, Child] = {}
        self._hold: int | None = None
        self._reason = SHUTDOWN

    # Events

    def begin(self) -> list[Effect]:
        """Start the children one after the other; Ready when the last is up."""
        self.phase = Phase.STARTING
        for spec in self._spec.children:
            self.children[spec.id] = Child(spec, StartCause.INITIAL)
        return self._settle()

    def started(self, child_id: str, incarnation: int, now: float) -> list[Effect]:
        """Note that a child's `on_start` has finished."""
        child = self._present(child_id, incarnation)
        if child is not None and child.state is ChildState.STARTING:
            child.state = ChildState.UP
            child.up_since = now
            child.cause = StartCause.RESTART
            child.first_start = False
            self._answer_start(child)
        return self._settle()

    def ended(self, child_id: str, incarnation: int, reason: Reason, now: float) -> list[Effect]:
        """Note that a child has ended, whether it was up, starting or told to."""
        child = self._present(child_id, incarnation)
        if child is None:
            return []
        was = child.state
        child.state = ChildState.DOWN
        child.incarnation = None
        child.last_reason = reason
        self._alive -= 1
        if self.phase is Phase.STOPPING or child.must_stop:
            self._stopped(child)
        elif was is ChildState.STARTING:
            self._not_started(child, reason, now)
        else:
            self._died(child, reason, now)
        child.up_since = None
        return self._settle()

    def delay_passed(self, token: int) -> list[Effect]:
        """Note that a wait is over."""
        if token == self._hold:
            self._hold = None
        child = self._waiting.pop(token, None)
        if child is not None:
            child.wait = None
            child.state = ChildState.DOWN
            self._launch(child)
        return self._settle()

    def shut_down(self, reason: Reason) -> list[Effect]:
        """Stop all children, then finish with `reason`; a second call changes nothing."""
        self._stop_all(reason)
        return self._settle()

    # Operations

    def start_child(self, spec: ChildSpec, request: object) -> list[Effect]:
        """Add a child and start it; the answer comes when it is up or has failed."""
        known = self.children.get(spec.id)
        if self._is_ending:
            self._refuse(request, SupervisorStopping(spec.id))
        elif known is None:
            child = Child(spec, StartCause.REQUESTED, request=request)
            self.children[spec.id] = child
            self._launch_unless_ordered(child)
        elif known.wanted:
            self._refuse(request, ChildAlreadyStarted(spec.id))
        else:
            refusal = ChildAlreadyStarted if known.is_alive else ChildAlreadyPresent
            self._refuse(request, refusal(spec.id))
        return self._settle()

    def terminate_child(self, child_id: str, request: object) -> list[Effect]:
        """Stop a child for good; the answer comes when it has ended."""
        child = self.children.get(child_id)
        if child is None:
            self._refuse(request, ChildNotFound(child_id))
            return self._settle()
        child.stop_requests.append(request)
        child.wanted = False
        if child.is_alive:
            child.must_stop = True
            self._halt(child)
        else:
            self._stop_waiting(child)
            self._stopped(child)
        return self._settle()

    def restart_child(self, child_id: str, request: object) -> list[Effect]:
        """Start a child again that was terminated or has ended for good."""
        child = self._at_rest(child_id, request)
        if child is not None:
            child.wanted = True
            child.cause = StartCause.REQUESTED
            child.request = request
            self._launch_unless_ordered(child)
        return self._settle()

    def delete_child(self, child_id: str, request: object) -> list[Effect]:
        """Forget the specification of a child that is not running."""
        child = self._at_rest(child_id, request)
        if child is not None:
            self._forget(child)
            self._effects.append(Answer(request, child_id))
        return self._settle()

    # What a child's end means

    def _not_started(self, child: Child, reason: Reason, now: float) -> None:
        if reason.kind is ReasonKind.IGNORED:
            child.wanted = False
            child.first_start = False
            self._answer_start(child)
            self._forget_unless_kept(child)
        elif child.cause is StartCause.INITIAL and child.spec.escalates:
            self._stop_all(Reason.failed(ChildStartFailed(child.id, reason)))
        elif child.cause is StartCause.REQUESTED:
            child.wanted = False
            self._answer_start(child, ChildStartFailed(child.id, reason))
            self._forget_unless_kept(child)
        else:
            self._restart(child, reason, now)

    def _died(self, child: Child, reason: Reason, now: float) -> None:
        if child.is_restarted_after(reason):
            self._restart(child, reason, now)
            return
        child.wanted = False
        self._forget_unless_kept(child)
        if child.spec.significant and self._ends_supervisor():
            self._stop_all(SHUTDOWN)

    def _stopped(self, child: Child) -> None:
        child.must_stop = False
        if not child.wanted:
            self._answer_start(child, ChildStartFailed(child.id, SHUTDOWN))
            self._forget_unless_kept(child)
        requests, child.stop_requests = child.stop_requests, []
        self._effects.extend(Answer(request, child.id) for request in requests)

    def _ends_supervisor(self) -> bool:
        if self._spec.auto_shutdown is AutoShutdown.ALL_SIGNIFICANT:
            return not any(
                child.spec.significant and (child.is_alive or child.wanted)
                for child in self.children.values()
            )
        return self._spec.auto_shutdown is AutoShutdown.ANY_SIGNIFICANT

    def _restart(self, child: Child, reason: Reason, now: float) -> None:
        if child.spec.escalates and not self._window.add(now):
            exceeded = IntensityExceeded(child.id, reason, self._spec.intensity, self._spec.period)
            self._stop_all(Reason.failed(exceeded))
            return
        child.restarts += 1
        child.cause = StartCause.RESTART
        delay = self._next_delay(child, now)
        self._effects.append(RestartDecided(child.id, reason, child.restarts, delay))
        if self._spec.strategy is not Strategy.ONE_FOR_ONE:
            self._restart_group(child, delay)
        elif delay > 0:
            child.wait = self._wait(delay, child)
            child.state = ChildState.WAITING
        else:
            self._launch(child)

    def _next_delay(self, child: Child, now: float) -> float:
        backoff = self._spec.backoff
        if backoff is None:
            return 0.0
        if child.up_since is not None and now - child.up_since >= backoff.healthy_after:
            child.in_a_row = 0
        child.in_a_row += 1
        return backoff.delay(child.in_a_row - 1, self._random)

    def _restart_group(self, dead: Child, delay: float) -> None:
        """Have all whom the restart concerns end, then start them in order.

        As in OTP, it also starts those again that were terminated or had ended for good.
        """
        concerned = list(self.children.values())
        if self._spec.strategy is Strategy.REST_FOR_ONE:
            concerned = concerned[concerned.index(dead) :]
        for child in concerned:
            child.must_stop = child.is_alive
            if child.spec.restart is Restart.TEMPORARY and child.is_alive:
                child.wanted = False
            elif not child.stop_requests:
                child.wanted = True
                if child.request is None and not child.first_start:
                    child.cause = StartCause.RESTART
        self._release()
        if delay > 0:
            self._hold = self._wait(delay)

    # Levels: from what is wanted to the next effects

    def _settle(self) -> list[Effect]:
        if self.phase is Phase.STOPPING:
            self._go_on_stopping()
        elif self._is_ordered:
            self._go_on_in_order()
        effects, self._effects = self._effects, []
        return effects

    @property
    def _is_ordered(self) -> bool:
        """Whether children start and stop one after the other just now."""
        if self.phase is Phase.RUNNING:
            return self._spec.strategy is not Strategy.ONE_FOR_ONE
        return self.phase is Phase.STARTING

    def _go_on_in_order(self) -> None:
        leaving = [child for child in self.children.values() if child.must_stop]
        if leaving:
            self._halt(leaving[-1])
            return
        if self._hold is not None:
            return
        children = list(self.children.values())
        if any(child.state is ChildState.STARTING for child in children):
            return
        for child in children:
            if child.wanted and child.state is ChildState.DOWN:
                self._launch(child)
                return
        if self.phase is Phase.STARTING:
            self.phase = Phase.RUNNING
            self._effects.append(Ready())

    def _stop_all(self, reason: Reason) -> None:
        if self._is_ending:
            return
        self.phase = Phase.STOPPING
        self._reason = reason
        self._release()
        for child in self.children.values():
            child.wanted = False
            child.must_stop = child.is_alive
            if not child.is_alive:
                self._stop_waiting(child)
                self._answer_start(child, SupervisorStopping(child.id))
            elif self._spec.dynamic:
                self._halt(child)

    def _go_on_stopping(self) -> None:
        if self._alive == 0:
            self.phase = Phase.FINISHED
            self._effects.append(Finished(self._reason))
        elif not self._spec.dynamic:
            self._halt([child for child in self.children.values() if child.is_alive][-1])

    @property
    def _is_ending(self) -> bool:
        return self.phase in {Phase.STOPPING, Phase.FINISHED}

    # Small steps

    def _present(self, child_id: str, incarnation: int) -> Child | None:
        child = self.children.get(child_id)
        return child if child is not None and child.incarnation == incarnation else None

    def _at_rest(self, child_id: str, request: object) -> Child | None:
        child = self.children.get(child_id)
        refusal: type[ChildError]
        if self._is_ending:
            refusal = SupervisorStopping
        elif child is None:
            refusal = ChildNotFound
        elif child.is_alive:
            refusal = ChildRunning
        elif child.wanted:
            refusal = ChildRestarting
        else:
            return child
        self._refuse(request, refusal(child_id))
        return None

    def _launch_unless_ordered(self, child: Child) -> None:
        if not self._is_ordered:
            self._launch(child)

    def _launch(self, child: Child) -> None:
        child.incarnation = next(self._numbers)
        child.state = ChildState.STARTING
        self._alive += 1
        self._effects.append(Launch(child.id, child.incarnation))

    def _halt(self, child: Child) -> None:
        if child.state is not ChildState.STOPPING and child.incarnation is not None:
            child.state = ChildState.STOPPING
            self._effects.append(Halt(child.id, child.incarnation))

    def _wait(self, seconds: float, child: Child | None = None) -> int:
        token = next(self._numbers)
        if child is not None:
            self._waiting[token] = child
        self._effects.append(Wait(token, seconds))
        return token

    def _stop_waiting(self, child: Child) -> None:
        if child.wait is not None:
            del self._waiting[child.wait]
            self._effects.append(CancelWait(child.wait))
            child.wait = None
            child.state = ChildState.DOWN

    def _release(self) -> None:
        if self._hold is not None:
            self._effects.append(CancelWait(self._hold))
            self._hold = None

    def _forget_unless_kept(self, child: Child) -> None:
        never_up = child.cause is StartCause.REQUESTED and child.first_start
        if self._spec.dynamic or child.spec.restart is Restart.TEMPORARY or never_up:
            self._forget(child)

    def _forget(self, child: Child) -> None:
        del self.children[child.id]
        self._effects.append(Discard(child.id))

    def _refuse(self, request: object, error: ChildError) -> None:
        self._effects.append(Answer(request, error.child_id, error))

    def _answer_start(self, child: Child, error: SupervisionError | None = None) -> None:
        request, child.request = child.request, None
        if request is not None:
            self._effects.append(Answer(request, child.id, error))
