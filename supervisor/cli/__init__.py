"""`supervisor-cli`: run the daemon, and look at it."""

from supervisor.cli import host_commands, journal_commands
from supervisor.cli.commands import main

__all__ = ["host_commands", "journal_commands", "main"]
