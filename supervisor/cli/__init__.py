"""`supervisor-cli`: run the daemon, and look at it."""

from supervisor.cli.commands import main

__all__ = ["main"]
