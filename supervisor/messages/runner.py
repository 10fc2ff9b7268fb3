"""What a runner may be told; of its registration it is told what `tokens` says."""

from dataclasses import dataclass

from supervisor.lifecycle import Event


@dataclass(frozen=True)
class Happened:
    """Something happened in a runner's life."""

    event: Event


@dataclass(frozen=True)
class Look:
    """See whether the instance is as it should be: something was missed."""
