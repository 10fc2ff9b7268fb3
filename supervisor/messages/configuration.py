"""What the daemon tells all whom the configuration concerns."""

from dataclasses import dataclass

from supervisor.config import Config


@dataclass(frozen=True)
class ConfigChanged:
    """A new configuration has been loaded and is in force."""

    config: Config
