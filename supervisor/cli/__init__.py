"""`supervisor-cli`: run the daemon, and look at it."""

from supervisor.cli import host_commands, journal_commands, log_commands, top_commands
from supervisor.cli.commands import main

__all__ = ["host_commands", "journal_commands", "log_commands", "main", "top_commands"]
