"""The actor that supervises: carries out what its core decides."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from loguru import logger
from pykka._envelope import Envelope

from supervisor.supervision import effects as do
from supervisor.supervision.actor import Actor
from supervisor.supervision.cell import Cell, ChildRecord, Place, cell_of, start_at
from supervisor.supervision.children import ChildState
from supervisor.supervision.core import Core, Phase
from supervisor.supervision.errors import StartLimitPassed, StillAbandoned, SupervisionError
from supervisor.supervision.handlers import handles
from supervisor.supervision.messages import (
    ChildCounts,
    ChildInfo,
    CountChildren,
    DelayPassed,
    DeleteChild,
    Ended,
    Fail,
    LimitPassed,
    Operation,
    OperationFailed,
    RestartChild,
    StartChild,
    Started,
    TerminateChild,
    WhichChildren,
)
from supervisor.supervision.reasons import IGNORED, SHUTDOWN, Reason
from supervisor.supervision.reply import Reply
from supervisor.supervision.specs import (
    BRUTAL_KILL,
    IGNORE,
    INFINITY,
    WORKER_SHUTDOWN_S,
    BrutalKill,
    ChildSpec,
    Ignore,
    Kind,
    SupervisorSpec,
)

if TYPE_CHECKING:
    from pykka import ActorRef

    from supervisor.supervision.children import Child
    from supervisor.supervision.system import System
    from supervisor.supervision.timers import Timer

WORKER_START_LIMIT_S = 60.0


@dataclass
class _Request:
    """An operation and where its answer goes."""

    operation: Operation
    reply: Reply


class Supervisor(Actor):
    """OTP's supervisor. It never waits for a child, be it starting, stopping or stuck.

    Operations are messages: ask or tell it StartChild, TerminateChild, RestartChild, DeleteChild,
    WhichChildren and CountChildren.
    """

    kind: ClassVar[Kind] = Kind.SUPERVISOR

    def __init__(self, system: System, spec: SupervisorSpec) -> None:
        super().__init__(system)
        self._spec = spec
        self._core = Core(spec, system.random)
        self._records = self._cell.records
        self._limits: dict[str, Timer] = {}
        self._waits: dict[int, Timer] = {}
        self._pending: deque[do.Effect] = deque()
        self._carrying_out = False

    def on_start(self) -> None:
        """Begin with the first child; the rest follows as each reports that it is up."""
        for spec in self._spec.children:
            self._records[spec.id] = ChildRecord(spec.id, self.system.clock.monotonic())
        self._carry_out(self._core.begin())

    # What children report

    @handles(Started)
    def _child_started(self, notice: Started) -> None:
        child = self._current(notice.id, notice.incarnation)
        if child is not None and child.state is ChildState.STARTING:
            self._drop_limit(notice.id)
        self._carry_out(
            self._core.started(notice.id, notice.incarnation, self.system.clock.monotonic())
        )
        self._show(notice.id)

    @handles(Ended)
    def _child_ended(self, notice: Ended) -> None:
        child = self._current(notice.id, notice.incarnation)
        if child is None:
            return
        self._drop_limit(notice.id)
        self._log_end(child, notice.reason)
        self._tell_core_of_end(notice.id, notice.incarnation, notice.reason)

    @handles(LimitPassed)
    def _limit_passed(self, notice: LimitPassed) -> None:
        child = self._current(notice.id, notice.incarnation)
        record = self._records.get(notice.id)
        if child is None or record is None or record.cell is None:
            return
        if notice.what == "start" and child.state is ChildState.STARTING:
            limit = _start_limit(child.spec, record.kind)
            record.cell.abandon(f"it did not start within {limit:g} s")
            self._tell_core_of_end(
                notice.id, notice.incarnation, Reason.failed(StartLimitPassed(limit))
            )
        elif notice.what == "stop":
            limit = _shutdown_limit(child.spec, record.kind)
            record.cell.abandon(f"it did not stop within {limit:g} s")

    @handles(DelayPassed)
    def _delay_passed(self, notice: DelayPassed) -> None:
        self._waits.pop(notice.token, None)
        self._carry_out(self._core.delay_passed(notice.token))

    @handles(Fail)
    def _fail(self, order: Fail) -> None:
        logger.error("stopping all children: {}", order.reason)
        self._carry_out(self._core.shut_down(order.reason))

    # Operations

    @handles(StartChild)
    def _start_child(self, operation: StartChild) -> None:
        request = self._request(operation)
        try:
            self._spec.check(operation.spec)
        except ValueError as error:
            self._fail_request(request, error)
            return
        self._carry_out(self._core.start_child(operation.spec, request))

    @handles(TerminateChild)
    def _terminate_child(self, operation: TerminateChild) -> None:
        self._carry_out(self._core.terminate_child(operation.id, self._request(operation)))
        self._show(operation.id)

    @handles(RestartChild)
    def _restart_child(self, operation: RestartChild) -> None:
        self._carry_out(self._core.restart_child(operation.id, self._request(operation)))

    @handles(DeleteChild)
    def _delete_child(self, operation: DeleteChild) -> None:
        self._carry_out(self._core.delete_child(operation.id, self._request(operation)))

    @handles(WhichChildren)
    def _which_children(self, _question: WhichChildren) -> tuple[ChildInfo, ...]:
        return tuple(self._info(child) for child in self._core.children.values())

    @handles(CountChildren)
    def _count_children(self, _question: CountChildren) -> ChildCounts:
        children = self._core.children
        supervisors = sum(self._kind_of(child_id) is Kind.SUPERVISOR for child_id in children)
        return ChildCounts(
            specs=len(children),
            active=sum(child.is_alive for child in children.values()),
            supervisors=supervisors,
            workers=len(children) - supervisors,
        )

    # Its own life

    def _on_started(self) -> None:
        """Leave it to Ready: a supervisor has started when its children have."""

    def _on_told_to_stop(self, reason: Reason) -> None:
        self._carry_out(self._core.shut_down(reason))

    def _on_error(self, error: BaseException) -> None:
        if self._carrying_out:
            # The bookkeeping itself failed: nothing here can be trusted to stop the children.
            super()._on_error(error)
            return
        self._carry_out(self._core.shut_down(Reason.failed(error)))

    def _on_ended(self) -> None:
        super()._on_ended()
        for timer in (*self._limits.values(), *self._waits.values()):
            timer.cancel()
        # None is left, unless the supervisor ended without having stopped them.
        self._cell.abandon_offspring("its supervisor failed")

    # Effects

    def _carry_out(self, effects: list[do.Effect]) -> None:
        """Do what the core wants, and what follows from that, in order."""
        self._pending.extend(effects)
        if self._carrying_out:
            return
        self._carrying_out = True
        while self._pending:
            self._do(self._pending.popleft())
        self._carrying_out = False
        if self._core.phase is Phase.STOPPING and self._cell.snapshot.state != "stopping":
            self.publish("stopping")

    def _do(self, effect: do.Effect) -> None:
        if isinstance(effect, do.Launch):
            self._launch(effect.id, effect.incarnation)
        elif isinstance(effect, do.Halt):
            self._halt(effect.id, effect.incarnation)
        elif isinstance(effect, do.Wait):
            self._wait(effect)
        elif isinstance(effect, do.CancelWait):
            self._waits.pop(effect.token).cancel()
        elif isinstance(effect, do.RestartDecided):
            self._note_restart(effect)
        elif isinstance(effect, do.Answer):
            self._answer(effect)
        elif isinstance(effect, do.Discard):
            self._records.pop(effect.id, None)
        elif isinstance(effect, do.Ready):
            self._cell.started()
        else:
            self._end_with(effect.reason)

    def _launch(self, child_id: str, incarnation: int) -> None:
        spec = self._core.children[child_id].spec
        mailbox = self._mailbox
        place = Place(
            child_id,
            name=spec.name or child_id,
            parent=self._cell,
            log_context=spec.log_context,
            stuck_limit=spec.stuck_limit,
            entered=lambda cell: self._child_entered(spec, incarnation, cell),
            started=lambda: mailbox.put(Envelope(Started(child_id, incarnation))),
            ended=lambda reason: mailbox.put(Envelope(Ended(child_id, incarnation, reason))),
        )
        if child_id not in self._records:
            self._records[child_id] = ChildRecord(child_id, self.system.clock.monotonic())
        record = self._records[child_id]
        record.waits_until = None
        if not spec.escalates and record.cell is not None and record.cell.lingers:
            # It is tried for ever, and each that hangs would keep a thread.
            error = StillAbandoned(record.cell.path)
            self._tell_core_of_end(child_id, incarnation, Reason.failed(error))
            return
        try:
            is_ignoring = _is_ignoring(place, start_at(place, spec.start))
        except BaseException as error:  # noqa: BLE001 - reported as the reason
            said = logger.bind(**(spec.log_context or {})).opt(exception=error)
            said.error("child {} failed to start", child_id)
            if place.cell is not None:
                place.cell.abandon("its start failed")
            self._drop_limit(child_id)
            self._tell_core_of_end(child_id, incarnation, Reason.failed(error))
            return
        if is_ignoring:
            self._tell_core_of_end(child_id, incarnation, IGNORED)

    def _child_entered(self, spec: ChildSpec, incarnation: int, cell: Cell) -> None:
        """Show the incarnation, and limit its start, before its thread begins."""
        record = self._records[spec.id]
        if record.cell is not None:
            cell.follows(record.cell)
        record.cell = cell
        record.kind = cell.kind
        self._show(spec.id)
        self._set_limit(_start_limit(spec, cell.kind), LimitPassed(spec.id, incarnation, "start"))

    def _halt(self, child_id: str, incarnation: int) -> None:
        spec = self._core.children[child_id].spec
        record = self._records[child_id]
        self._show(child_id)
        self._drop_limit(child_id)
        if record.cell is None:
            return
        if isinstance(spec.shutdown, BrutalKill):
            record.cell.abandon(BRUTAL_KILL.value)
            return
        limit = _shutdown_limit(spec, record.kind)
        self._set_limit(limit, LimitPassed(child_id, incarnation, "stop"))
        record.cell.stop(SHUTDOWN)

    def _wait(self, effect: do.Wait) -> None:
        mailbox = self._mailbox
        self._waits[effect.token] = self.system.timers.schedule(
            effect.seconds, lambda: mailbox.put(Envelope(DelayPassed(effect.token)))
        )

    def _note_restart(self, effect: do.RestartDecided) -> None:
        spec = self._core.children[effect.id].spec
        logger.bind(**(spec.log_context or {})).info(
            "restarting child {} in {:.1f} s, restart {}",
            effect.id,
            effect.seconds,
            effect.restarts,
        )
        record = self._records[effect.id]
        record.restarts = effect.restarts
        if effect.seconds > 0:
            record.waits_until = self.system.clock.monotonic() + effect.seconds

    def _answer(self, effect: do.Answer) -> None:
        request = effect.request
        assert isinstance(request, _Request)  # noqa: S101 - no other is handed to the core
        if effect.error is not None:
            self._fail_request(request, effect.error)
        elif isinstance(request.operation, (StartChild, RestartChild)):
            request.reply.set(self._ref_of(effect.id) or IGNORE)
        else:
            request.reply.set(None)

    # Small steps

    def _request(self, operation: Operation) -> _Request:
        return _Request(operation, self.defer_reply())

    def _fail_request(self, request: _Request, error: SupervisionError | ValueError) -> None:
        operation = request.operation
        if operation.reply_to is not None:
            cell_of(operation.reply_to).mailbox.put(Envelope(OperationFailed(operation, error)))
        elif not request.reply.is_wanted:
            logger.warning("{} failed: {}", type(operation).__name__, error)
        request.reply.fail(error)

    def _tell_core_of_end(self, child_id: str, incarnation: int, reason: Reason) -> None:
        record = self._records.get(child_id)
        if record is not None:
            record.reason = str(reason)
        now = self.system.clock.monotonic()
        self._carry_out(self._core.ended(child_id, incarnation, reason, now))
        self._show(child_id)

    def _current(self, child_id: str, incarnation: int) -> Child | None:
        child = self._core.children.get(child_id)
        return child if child is not None and child.incarnation == incarnation else None

    def _show(self, child_id: str) -> None:
        """Publish what the core knows of a child."""
        child, record = self._core.children.get(child_id), self._records.get(child_id)
        if child is None or record is None:
            return
        state = _shown_state(child)
        if state != record.state:
            record.state = state
            record.since_s = self.system.clock.monotonic()

    def _log_end(self, child: Child, reason: Reason) -> None:
        level = "WARNING" if reason.is_abnormal else "DEBUG"
        said = logger.bind(**(child.spec.log_context or {}))
        said.log(level, "child {} ended: {}", child.id, reason)

    def _set_limit(self, seconds: float, notice: LimitPassed) -> None:
        if seconds == INFINITY:
            return
        mailbox = self._mailbox
        self._limits[notice.id] = self.system.timers.schedule(
            seconds, lambda: mailbox.put(Envelope(notice))
        )

    def _drop_limit(self, child_id: str) -> None:
        timer = self._limits.pop(child_id, None)
        if timer is not None:
            timer.cancel()

    def _kind_of(self, child_id: str) -> Kind:
        record = self._records.get(child_id)
        return record.kind if record is not None else Kind.WORKER

    def _ref_of(self, child_id: str) -> ActorRef[Any] | None:
        child, record = self._core.children.get(child_id), self._records.get(child_id)
        if child is None or record is None or record.cell is None or not child.is_alive:
            return None
        return record.cell.ref

    def _info(self, child: Child) -> ChildInfo:
        return ChildInfo(
            child.id,
            self._ref_of(child.id),
            _shown_state(child),
            self._kind_of(child.id),
            child.spec.restart,
            child.restarts,
        )


def _is_ignoring(place: Place, started: ActorRef[Any] | Ignore) -> bool:
    if isinstance(started, Ignore) and place.cell is None:
        return True
    if place.cell is None or started is not place.cell.ref:
        raise TypeError(
            "a child's start must return IGNORE or the reference of the one supervision.Actor that"
            f" it starts, not {started!r}"
        )
    return False


def _start_limit(spec: ChildSpec, kind: Kind) -> float:
    if spec.start_limit is not None:
        return spec.start_limit
    return INFINITY if kind is Kind.SUPERVISOR else WORKER_START_LIMIT_S


def _shutdown_limit(spec: ChildSpec, kind: Kind) -> float:
    if isinstance(spec.shutdown, (int, float)):
        return spec.shutdown
    return INFINITY if kind is Kind.SUPERVISOR else WORKER_SHUTDOWN_S


def _shown_state(child: Child) -> str:
    if child.state is ChildState.DOWN and child.wanted:
        return "restarting"
    return child.state.value
