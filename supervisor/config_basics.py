"""What is known of a configuration before one is read: where it is, and how its faults are told.

The commands that ask the daemon need no more, and are spared the libraries that check one.
"""

from pathlib import Path
from typing import Literal, get_args

DEFAULT_PATH = Path("/etc/github-runner-supervisor/config.yaml")
DEFAULT_SOCKET = Path("/run/github-runner-supervisor/control.sock")
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
LOG_LEVELS: tuple[str, ...] = get_args(LogLevel)


class ConfigError(Exception):
    """The configuration can't be used: one line a fault, with file, key, reason and example."""
