"""What the operator gives: the configuration, typed and checked whole, and credentials."""

from supervisor.config.file import (
    OTHERS,
    load,
    mode_of,
    parse,
    read_document,
    without_waiting,
)
from supervisor.config.model import Config, LogsConfig
from supervisor.config.values import CREDENTIALS_DIRECTORY, share_of
from supervisor.config_basics import DEFAULT_PATH, DEFAULT_SOCKET, ConfigError

__all__ = [
    "CREDENTIALS_DIRECTORY",
    "DEFAULT_PATH",
    "DEFAULT_SOCKET",
    "OTHERS",
    "Config",
    "ConfigError",
    "LogsConfig",
    "load",
    "mode_of",
    "parse",
    "read_document",
    "share_of",
    "without_waiting",
]
