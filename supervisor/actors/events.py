"""LXD's event stream, turned into messages for those whom the events concern."""

from supervisor import lifecycle, naming
from supervisor.gateways.lxd import EventStream, LifecycleEvent, LxdError
from supervisor.messages import Happened, InstanceAppeared, Reconcile
from supervisor.parts import Parts
from supervisor.supervision import Actor, System, handles
from supervisor.workers import Workers, WorkFailed

_RECONNECT_S = 1.0

_MEANINGS: dict[str, lifecycle.Event] = {
    # The guest powered off, or crashed ("shutdown"), or was stopped from outside ("stopped").
    "instance-shutdown": lifecycle.InstanceStopped(),
    "instance-stopped": lifecycle.InstanceStopped(),
    "instance-deleted": lifecycle.InstanceGone(),
}


class _Connect:
    """It is time to connect."""


class _Connected:
    """LXD's events arrive on this stream."""

    def __init__(self, stream: EventStream) -> None:
        self.stream = stream


class _Lost:
    """There is no stream any more, or none could be had."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


class EventsActor(Actor):
    """Listens to LXD; after a gap, which LXD does not fill, it has the fleet look at everything."""

    def __init__(self, system: System, parts: Parts) -> None:
        super().__init__(system)
        self._parts = parts
        self._listener = Workers("events", 1)
        self._stream: EventStream | None = None

    def on_start(self) -> None:
        """Connect."""
        self._connect(_Connect())

    def on_stop(self) -> None:
        """Close the stream, which ends the listener."""
        self._close()

    def on_failure(self, *_error: object) -> None:
        """Close the stream after a crash too."""
        self._close()

    @handles(_Connect)
    def _connect(self, _message: _Connect) -> None:
        self.publish("connecting", "asks LXD for its events")

        def connect() -> _Connected | _Lost:
            try:
                return _Connected(self._parts.lxd.events())
            except LxdError as error:
                return _Lost(str(error))

        self._listener.submit(connect, self.actor_ref)

    @handles(_Connected)
    def _connected(self, message: _Connected) -> None:
        self._stream = message.stream
        self.publish("listening", "receives LXD's events")
        directory, installation = self.system.directory, self._parts.settings.config.name

        def listen() -> _Lost:
            try:
                for event in message.stream:
                    if naming.belongs_to(installation, event.name):
                        self._pass_on(event)
            except LxdError as error:
                return _Lost(str(error))
            return _Lost("LXD closed the event stream")

        self._listener.submit(listen, self.actor_ref)
        directory.tell("fleet", Reconcile("LXD's events were not heard before"))

    @handles(_Lost)
    def _lost(self, message: _Lost) -> None:
        self._close()
        self.publish("reconnecting", message.reason)
        self.tell_after(_RECONNECT_S, _Connect())

    @handles(WorkFailed)
    def _work_failed(self, message: WorkFailed) -> None:
        raise message.error

    def _pass_on(self, event: LifecycleEvent) -> None:
        """Tell whom it concerns; in the listener's thread, so that nothing is in between."""
        meaning = _MEANINGS.get(event.action)
        if meaning:
            self.system.directory.tell(event.name, Happened(meaning))
        elif event.action == "instance-created":
            self.system.directory.tell("fleet", InstanceAppeared(event.name))

    def _close(self) -> None:
        if self._stream:
            self._stream.close()
        self._stream = None
