"""What is asked and ordered on the control socket, as a web application without a socket."""

from supervisor.control.api import THREADS, make_app

__all__ = ["THREADS", "make_app"]
