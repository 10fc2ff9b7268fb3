"""The control socket: what `supervisor-cli` and other tools on this machine talk to."""

from supervisor.actors.listening import ListeningActor
from supervisor.control import THREADS, make_app
from supervisor.parts import Parts
from supervisor.supervision import System


class ControlActor(ListeningActor):
    """Keeps the socket up. Every answer is read from what the actors have published."""

    def __init__(self, system: System, parts: Parts) -> None:
        super().__init__(system)
        self._parts = parts

    def listen(self) -> None:
        """Make the socket: for its owner and group, nobody else."""
        control = self._parts.settings.config.control
        try:
            self.serve(
                make_app(self.system, self._parts, debug=control.debug),
                "control",
                unix_socket=str(control.socket),
                unix_socket_perms="660",
                threads=THREADS,
            )
        except OSError as error:
            self.fail(f"can't make {control.socket}: {error.strerror or error}")
            return
        self.publish("listening", f"answers on {control.socket}")
