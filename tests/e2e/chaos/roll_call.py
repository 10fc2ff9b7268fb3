"""What the jobs themselves say of their runs: a record that neither GitHub nor the daemon keeps."""

from __future__ import annotations

import socketserver
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

_WORDS = 4


@dataclass(frozen=True)
class Run:
    """One run of one job's script."""

    tag: str
    runner: str
    number: str
    """Made by the run itself: a script that is run twice in one guest has two."""


class RollCall:
    """Listens on the bridge's address; each job's script calls at its beginning and at its end."""

    def __init__(self, address: str) -> None:
        self._begun: set[Run] = set()
        self._ended: set[Run] = set()
        roll = self

        class Caller(socketserver.StreamRequestHandler):
            timeout = 10

            def handle(self) -> None:
                roll.note(self.rfile.readline(1024).decode(errors="replace").split())

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_about: object) -> None:
                """Say nothing of a guest that was killed while it called."""

        self._server = Server((address, 0), Caller)
        self._address = f"{address} {self._server.server_address[1]}"
        serve = self._server.serve_forever
        self._thread = threading.Thread(target=serve, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def script(self, tag: str, seconds: float) -> str:
        """Return the script of a job that takes so long."""
        return (
            "run=$(cat /proc/sys/kernel/random/uuid)\n"
            f'call() {{ until echo "{tag} $RUNNER_NAME $run $1" | nc {self._address}; do\n'
            "sleep 0.3; done; }\n"
            f"call begin\nsleep {seconds}\ncall end\n"
        )

    def note(self, words: list[str]) -> None:
        """Note one call; one that was repeated, as its answer was lost, is the same."""
        if len(words) == _WORDS:
            run = Run(*words[:3])
            (self._ended if words[3] == "end" else self._begun).add(run)

    def begun(self, tag: str) -> set[Run]:
        """Return the runs that a job has begun."""
        return {run for run in tuple(self._begun) if run.tag == tag}

    def ended(self, tag: str) -> set[Run]:
        """Return the runs that a job has come to the end of."""
        return {run for run in tuple(self._ended) if run.tag == tag}
