"""LXD's event stream, turned into messages for those whom the events concern."""

import threading
from collections.abc import Callable
from contextlib import suppress

import pykka

from supervisor import lifecycle
from supervisor.causes import Cause
from supervisor.gateways.lxd import EventStream, LifecycleEvent, Lxd, LxdError
from supervisor.messages.fleet import InstanceAppeared, Reconcile
from supervisor.messages.runner import Happened
from supervisor.observation.speaker import for_speaker
from supervisor.parts import Parts
from supervisor.runners import naming
from supervisor.supervision import Actor, System, handles
from supervisor.workers import WorkFailed

_RECONNECT_S = 1.0
# A stream that LXD gives and cuts again and again costs both sides a listing each time.
_LONGEST_PAUSE_S = 30.0
_STEADY_S = 60.0

_MEANINGS: dict[str, lifecycle.Event] = {
    # The guest powered off, or crashed ("shutdown"), or was stopped from outside ("stopped").
    "instance-shutdown": lifecycle.InstanceStopped(),
    "instance-stopped": lifecycle.InstanceStopped(),
    "instance-deleted": lifecycle.InstanceGone(),
}


class _Connect:
    """It is time to connect."""


class _Connected:
    """LXD's events arrive."""


class _Lost:
    """There is no stream any more, or none could be had."""

    def __init__(self, reason: str, cause: Cause = Cause.LXD_UNAVAILABLE) -> None:
        self.reason = reason
        self.cause = cause


class _Ear:
    """Listens in a thread of its own to one stream, for one incarnation, until either ends.

    Args:
        lxd: where to listen.
        hear: called with each event, in that thread.
        tell: tells the actor how it goes; does nothing if that has ended.
    """

    def __init__(
        self, lxd: Lxd, hear: Callable[[LifecycleEvent], None], tell: Callable[[object], None]
    ) -> None:
        self._lxd = lxd
        self._hear = hear
        self._tell = tell
        self._stream: EventStream | None = None
        self._closed = False
        self._lock = threading.Lock()
        threading.Thread(target=for_speaker(self._run), name="events", daemon=True).start()

    def close(self) -> None:
        """End the stream, also one that is only being connected."""
        with self._lock:
            self._closed = True
            if self._stream:
                self._stream.close()

    def _run(self) -> None:
        outcome: _Lost | WorkFailed = _Lost("LXD closed the event stream")
        try:
            self._listen()
        except LxdError as error:
            outcome = _Lost(str(error), error.cause)
        except BaseException as error:  # noqa: BLE001 - it is handed to the actor, which fails
            outcome = WorkFailed(error)
        self.close()
        self._tell(outcome)

    def _listen(self) -> None:
        stream = self._lxd.events()
        with self._lock:
            self._stream = stream
            if self._closed:
                stream.close()
                return
        self._tell(_Connected())
        for event in stream:
            self._hear(event)


class EventsActor(Actor):
    """Listens to LXD; after a gap, which LXD does not fill, it has the fleet look at everything."""

    def __init__(self, system: System, parts: Parts) -> None:
        super().__init__(system)
        self._parts = parts
        self._ear: _Ear | None = None
        self._connected_at: float | None = None
        self._pause_s = _RECONNECT_S

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
        self._ear = _Ear(self._parts.lxd, self._pass_on, self._report)

    @handles(_Connected)
    def _connected(self, _message: _Connected) -> None:
        self._connected_at = self.system.clock.monotonic()
        self.publish("listening", "receives LXD's events")
        self.system.directory.tell("fleet", Reconcile("LXD's events were not heard before"))

    @handles(_Lost)
    def _lost(self, message: _Lost) -> None:
        self._close()
        self.publish("reconnecting", message.reason, cause=str(message.cause))
        self.tell_after(self._next_pause(), _Connect())

    def _next_pause(self) -> float:
        """Say how long to wait before another try.

        A second; longer and longer while streams break soon after they were had. That LXD can't
        be reached costs nobody anything, so its return is noticed within the second.
        """
        connected_at, self._connected_at = self._connected_at, None
        if connected_at is None:
            return _RECONNECT_S
        if self.system.clock.monotonic() - connected_at >= _STEADY_S:
            self._pause_s = _RECONNECT_S
        pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, _LONGEST_PAUSE_S)
        return pause_s

    @handles(WorkFailed)
    def _work_failed(self, message: WorkFailed) -> None:
        raise message.error

    def _pass_on(self, event: LifecycleEvent) -> None:
        """Tell whom it concerns; in the listener's thread, so that nothing is in between."""
        if not naming.belongs_to(self._parts.settings.config.name, event.name):
            return
        meaning = _MEANINGS.get(event.action)
        if meaning:
            self.system.directory.tell(event.name, Happened(meaning))
        elif event.action == "instance-created":
            self.system.directory.tell("fleet", InstanceAppeared(event.name))

    def _report(self, message: object) -> None:
        """Tell this incarnation how the listening goes; in the listener's thread."""
        with suppress(pykka.ActorDeadError):
            self.actor_ref.tell(message)

    def _close(self) -> None:
        if self._ear:
            self._ear.close()
        self._ear = None
