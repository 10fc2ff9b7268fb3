"""The control socket: what `supervisor-cli` and other tools on this machine talk to."""

from functools import partial

from supervisor.control import make_app
from supervisor.parts import Parts
from supervisor.supervision import Actor, System, handles
from supervisor.web import ServerLost, WebServer


class ControlActor(Actor):
    """Keeps the socket up. Every answer is read from what the actors have published."""

    def __init__(self, system: System, parts: Parts) -> None:
        super().__init__(system)
        self._parts = parts
        self._server: WebServer | None = None

    def on_start(self) -> None:
        """Make the socket: for its owner and group, nobody else."""
        control = self._parts.settings.config.control
        self._server = WebServer(
            make_app(self.system, self._parts, debug=control.debug),
            "control",
            lost=partial(self.actor_ref.tell, ServerLost()),
            unix_socket=str(control.socket),
            unix_socket_perms="660",
            threads=4,
        )
        self.publish("listening", f"answers on {control.socket}")

    @handles(ServerLost)
    def _server_lost(self, _message: ServerLost) -> None:
        raise RuntimeError("the server's loop has ended")

    def on_stop(self) -> None:
        """Remove the socket."""
        self._close()

    def on_failure(self, *_error: object) -> None:
        """Let go of the socket, so that the next incarnation can have it."""
        self._close()

    def _close(self) -> None:
        if self._server:
            self._server.close()
            self._parts.settings.config.control.socket.unlink(missing_ok=True)
        self._server = None
