"""The actor that can be supervised."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, ClassVar

import pykka
from loguru import logger
from pykka._envelope import Envelope
from pykka.messages import _ActorStop

from supervisor.supervision.cell import Cell, Place, become, cell_of, take_place
from supervisor.supervision.errors import Crashed, StartIgnored, ThreadLost, UnhandledMessage
from supervisor.supervision.handlers import Handler, find_handler, handlers_of, handles
from supervisor.supervision.mailbox import WAKE_UP, Mailbox
from supervisor.supervision.messages import Crash
from supervisor.supervision.reasons import IGNORED, NORMAL, Down, MonitorRef, Reason
from supervisor.supervision.reply import Reply
from supervisor.supervision.specs import Kind

if TYPE_CHECKING:
    from pykka import ActorRef, Future

    from supervisor.supervision.system import System
    from supervisor.supervision.timers import Timer

# Looking through an actor's timers for spent ones pays only once there are some.
_FEW_TIMERS = 32


class _Fired:
    """What a timer of `tell_after` puts into the inbox."""

    __slots__ = ("message", "timer")

    def __init__(self, message: object) -> None:
        self.message = message
        self.timer: Timer | None = None


class Actor(pykka.ThreadingActor):
    """A Pykka actor that reports its end, and what it is doing, without being asked.

    Start it with `MyActor.start(system, ...)`: alone, or as the `start` of a `ChildSpec`. What
    differs from a plain Pykka actor:

    - Messages go to the methods marked with `handles`; one that nobody handles is logged, counted
      and dropped.
    - An exception in a handler ends the actor also if the message was asked; the asker gets it,
      too. `handles(..., replies=(...))` names those that are mere answers.
    - A BaseException (SystemExit) ends this actor alone, not every actor of the process.
    - `on_failure` is also called for a failure of `on_start`.
    - Its thread is a daemon thread named after its path.

    All methods but `stop` are for the actor's own thread.

    Attributes:
        system: what the tree shares.
        stuck_limit: see `ChildSpec`, which goes before; None leaves it to the system.
        observed: whether the system's observer is told when its published state is another word.
            Of a crash and a restart it always is.
    """

    use_daemon_thread = True
    kind: ClassVar[Kind] = Kind.WORKER
    stuck_limit: ClassVar[float | None] = None
    observed: ClassVar[bool] = True
    _handlers: ClassVar[dict[type, Handler]] = {}
    _found: ClassVar[dict[type, Handler | None]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._handlers = handlers_of(cls)
        cls._found = {}

    def __init__(self, system: System, *_args: Any, **_kwargs: Any) -> None:
        super().__init__()
        self.system = system
        place = take_place() or Place(type(self).__name__)
        self._cell = Cell(system, self.actor_ref, place, self.kind)
        place.cell = self._cell
        self._mailbox = self._cell.mailbox
        self._mailbox.cell = self._cell
        self.__end: Reason | None = None
        self.__heard_stop = False
        self.__reply: Reply | None = None
        self.__stoppers: list[Future[Any]] = []
        self.__monitors: set[MonitorRef] = set()
        self.__timers: set[Timer] = set()

    @property
    def path(self) -> str:
        """Where the actor is in the tree, such as `root/fleet`."""
        return self._cell.path

    def __str__(self) -> str:
        return self._cell.path

    # What an actor does

    def publish(self, state: str, reason: str = "", **details: Any) -> None:
        """Replace the snapshot that any thread can read.

        Args:
            state: one word; the snapshot's `since` stays while it stays.
            reason: why it is in that state, for people.
            details: more; each must be expressible in JSON and not change afterwards.
        """
        self._cell.publish(state, reason, details)

    def tell_self(self, message: object) -> None:
        """Put a message at the end of the actor's own inbox."""
        if not self._cell.fenced:
            self._mailbox.put(Envelope(message))

    def tell_after(self, delay_s: float, message: object) -> Timer:
        """Put a message into the actor's own inbox after so many seconds.

        It reaches this incarnation or none. Once the timer's `cancel` has returned, the message is
        not handled any more, even if it was in the inbox already.
        """
        fired = _Fired(message)
        fired.timer = self.system.timers.schedule(delay_s, lambda: self.__tell_fired(fired))
        if len(self.__timers) > _FEW_TIMERS:
            self.__timers = {timer for timer in self.__timers if timer.pending}
        self.__timers.add(fired.timer)
        return fired.timer

    def monitor(self, ref: ActorRef[Any]) -> MonitorRef:
        """Have this actor told exactly one `Down` at the end of another one.

        Raises:
            TypeError: `ref` is no actor of this package.
        """
        target = cell_of(ref)
        monitor = MonitorRef(target.path, target)
        self.__monitors.add(monitor)
        mailbox = self._mailbox
        target.watch(
            monitor, lambda reason: mailbox.put(Envelope(Down(monitor, target.id, reason)))
        )
        return monitor

    def demonitor(self, monitor: MonitorRef) -> None:
        """Undo `monitor`; its Down is not handled any more, even if it was in the inbox already."""
        self.__monitors.discard(monitor)
        monitor.cell.unwatch(monitor)

    def defer_reply(self) -> Reply:
        """Take over answering the message at hand: what the handler returns is not used."""
        reply, self.__reply = self.__reply, None
        return reply or Reply(None, self._cell.owed)

    def stop(self) -> None:
        """End the actor normally after the message at hand; the rest of its inbox is dropped.

        Unlike Pykka's, which first handles what is in the inbox; `ActorRef.stop` still does that.
        Any thread may call it.
        """
        self._cell.stop(NORMAL)

    def on_receive(self, message: Any) -> Any:
        """Log, count and drop a message that has no handler; an asker gets UnhandledMessage."""
        what = type(message).__name__
        self._cell.unhandled += 1
        logger.warning("dropped a message that nobody handles: {}", what)
        self.defer_reply().fail(UnhandledMessage(f"{self.path} does not handle {what}"))

    @handles(Crash)
    def crash(self, message: Crash) -> None:
        """Fail on purpose."""
        raise Crashed(message.reason)

    # What a kind of actor may refine

    def _on_started(self) -> None:
        self._cell.started()

    def _on_told_to_stop(self, reason: Reason) -> None:
        self.__end = reason

    def _on_error(self, error: BaseException) -> None:
        self.__end = Reason.failed(error)
        if self._cell.fenced:
            return
        try:
            self.on_failure(type(error), error, error.__traceback__)
        except BaseException as another:  # noqa: BLE001 - it has failed already
            logger.opt(exception=another).error("on_failure failed")

    # Its life, in place of Pykka's loop

    @staticmethod
    def _create_actor_inbox() -> Mailbox:
        return Mailbox()

    def _start_actor_loop(self) -> None:
        cell = self._cell
        thread = threading.Thread(target=self._actor_loop, name=cell.path, daemon=True)
        cell.thread = thread
        try:
            cell.enter()
            thread.start()
        except BaseException as error:
            cell.end(Reason.failed(error))
            cell.leave()
            raise

    def _actor_loop(self) -> None:
        cell = self._cell
        become(cell)
        reason = Reason.failed(ThreadLost("its thread ended without a reason"))
        try:
            with logger.contextualize(**{**cell.log_context, "actor": cell.path}):
                reason = self.__live()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it must be reported
            reason = Reason.failed(error)
        finally:
            self._on_ended()
            cell.end(reason)
            cell.leave()
            for stopper in self.__stoppers:
                stopper.set(None)

    def __live(self) -> Reason:
        if self._cell.fenced:
            return Reason.abandoned("")
        self._cell.handling = ("on_start", self.system.clock.monotonic())
        try:
            self.on_start()
        except StartIgnored:
            return IGNORED
        except BaseException as error:  # noqa: BLE001 - reported as the reason of the end
            logger.opt(exception=error).error("failed to start")
            self._on_error(error)
        else:
            self._on_started()
        self._cell.handling = None
        while self.__end is None and not self._cell.fenced:
            self.__process(self._mailbox.get())
            self._cell.handled += 1
        if self.__end is None:
            return Reason.abandoned("")
        if not self.__end.is_abnormal and not self._cell.fenced:
            self.__say_goodbye()
        return self.__end

    def __say_goodbye(self) -> None:
        self._cell.handling = ("on_stop", self.system.clock.monotonic())
        try:
            self.on_stop()
        except BaseException as error:  # noqa: BLE001 - reported as the reason of the end
            logger.opt(exception=error).error("failed while stopping")
            self.__end = Reason.failed(error)

    def _end_with(self, reason: Reason) -> None:
        """End after the message at hand."""
        self.__end = reason

    def _on_ended(self) -> None:
        self._cell.handling = None
        for timer in self.__timers:
            timer.cancel()
        for monitor in self.__monitors:
            monitor.cell.unwatch(monitor)

    def __process(self, envelope: Envelope[Any]) -> None:
        told_to_stop = self._cell.told_to_stop
        if told_to_stop is not None and not self.__heard_stop:
            self.__heard_stop = True
            self._on_told_to_stop(told_to_stop)
        if self.__end is not None or self._cell.fenced:
            # Back into the inbox, so that its closing answers whoever asked.
            self._mailbox.put(envelope)
            return
        message = envelope.message
        if envelope is WAKE_UP or not self.__is_current(message):
            return
        if isinstance(message, _ActorStop):
            if envelope.reply_to is not None:
                self.__stoppers.append(envelope.reply_to)
            self._on_told_to_stop(NORMAL)
            return
        self.__handle(message.message if type(message) is _Fired else message, envelope.reply_to)

    def __is_current(self, message: object) -> bool:
        """Whether a timer's message or a Down is still wanted; any other message is."""
        if type(message) is _Fired:
            return message.timer is None or not message.timer.cancelled
        if type(message) is Down:
            wanted = message.monitor in self.__monitors
            self.__monitors.discard(message.monitor)
            return wanted
        return True

    def __handle(self, message: Any, asked_by: Future[Any] | None) -> None:
        cell = self._cell
        message_type = type(message)
        handler = self.__find_handler(message_type)
        reply = self.__reply = None if asked_by is None else Reply(asked_by, cell.owed)
        cell.handling = (message_type, self.system.clock.monotonic())
        try:
            if handler is not None:
                answer = getattr(self, handler.method)(message)
            else:
                # Pykka's own: calls through a proxy, then on_receive.
                answer = self._handle_receive(message)
        except BaseException as error:  # noqa: BLE001 - told apart below
            self.__raised(error, message_type, handler)
        else:
            # None if it was deferred.
            if reply is not None and self.__reply is not None:
                reply.set(answer)
        finally:
            cell.handling = None
            self.__reply = None

    def __raised(self, error: BaseException, message_type: type, handler: Handler | None) -> None:
        asked = self.__reply is not None
        self.defer_reply().fail(error)
        if asked and handler is not None and isinstance(error, handler.replies):
            return
        logger.opt(exception=error).error("failed while handling {}", message_type.__name__)
        self._on_error(error)

    def __find_handler(self, message_type: type) -> Handler | None:
        try:
            return self._found[message_type]
        except KeyError:
            handler = find_handler(self._handlers, message_type)
            self._found[message_type] = handler
            return handler

    def __tell_fired(self, fired: _Fired) -> None:
        if self._cell.ended is None:
            self._mailbox.put(Envelope(fired))
