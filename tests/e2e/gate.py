"""A gate that jobs are held at."""

import select
import socket
from contextlib import suppress


class Gate:
    """Holds jobs in the middle of their script until it is opened.

    A job connects and waits for the end of the connection. Until then the kernel keeps it. The job
    says nothing, nor that it has nothing to say: a connection that one side has ended is forgotten
    by what translates addresses after a minute, and the job would never hear of the other's end.
    """

    def __init__(self, address: str) -> None:
        self._socket = socket.create_server((address, 0), backlog=128)
        self._socket.settimeout(0)
        self.port = self._socket.getsockname()[1]
        self.script = (
            f"rm -f gate; mkfifo gate; nc {address} {self.port} <>gate || true;"
            " echo through the gate"
        )

    def is_reached(self) -> bool:
        """Tell whether a job has come to it, so that its guest has told of it already."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def open(self) -> None:
        """Let all jobs go on, those that come later too: they are refused."""
        if self._socket.fileno() < 0:
            return
        # An end is told until it is heard. A connection that nobody has accepted would be reset
        # instead, which is told once, and lost where a daemon just puts its firewall in place.
        with suppress(BlockingIOError):
            while True:
                self._socket.accept()[0].close()
        self._socket.close()
