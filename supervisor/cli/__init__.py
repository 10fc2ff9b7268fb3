"""`supervisor-cli`: run the daemon, and look at it."""

from supervisor.cli import (
    host_commands,
    image_commands,
    journal_commands,
    log_commands,
    order_commands,
    top_commands,
    upgrade_commands,
)
from supervisor.cli.commands import main

__all__ = [
    "host_commands",
    "image_commands",
    "journal_commands",
    "log_commands",
    "main",
    "order_commands",
    "top_commands",
    "upgrade_commands",
]
