"""What is asked and ordered on the control socket, as a web application without a socket."""

from supervisor.control.api import make_app

__all__ = ["make_app"]
